for (const table of document.querySelectorAll("table")) {
  table.classList.add("sorts");
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, i) => {
    const sort = () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      const key = row => row.cells[i].dataset.key === undefined ? NaN : parseFloat(row.cells[i].dataset.key);
      const text = row => row.cells[i].textContent;
      const order = (a, b) => isNaN(key(a)) || isNaN(key(b))
        ? isNaN(key(a)) - isNaN(key(b)) || sign * text(a).localeCompare(text(b))
        : sign * (key(a) - key(b));
      body.append(...[...body.rows].sort(order));
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", event => { if (event.key === "Enter") sort(); });
  });
}
