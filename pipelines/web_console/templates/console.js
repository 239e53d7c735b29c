{% include "sort.js" %}

// Every few seconds the page as it is now, as long as nobody writes or chooses in it. Without this it is whole, too.
const main = document.querySelector("main");
const again = async () => {
  const busy = document.hidden || main.contains(document.activeElement) || String(getSelection()) !== ""
    || main.querySelector("details[open], [aria-sort]") !== null;
  if (!busy) {
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
      if (answer.ok && fresh !== null && fresh.innerHTML !== main.innerHTML) main.innerHTML = fresh.innerHTML;
    } catch { /* The console is away: what is shown stays, and its time with it. */ }
  }
  setTimeout(again, 5000);
};
if (main !== null && main.dataset.live === "yes") setTimeout(again, 5000);
