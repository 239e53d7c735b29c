"""What surrounds the parts of a page: style and script, without a line from elsewhere."""

#: Places to fill: title, heading, source and body, all of them HTML.
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root {
  --ink: #1d2329; --quiet: #6a737c; --paper: #ffffff; --line: #dfe3e7; --stripe: #f6f8fa; --bar: #0072b2;
  --warning: #a04300;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e4e8ec; --quiet: #949da6; --paper: #14181c; --line: #30373e; --stripe: #1b2026; --bar: #56b4e9;
    --warning: #ffb070;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem clamp(1rem, 4vw, 3rem) 4rem; max-width: 80rem;
  background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif;
}
h1 { margin: 0; font-size: 1.6rem; line-height: 1.25; overflow-wrap: anywhere; }
h1 + p { margin: .25rem 0 1.5rem; color: var(--quiet); overflow-wrap: anywhere; }
h2 { margin: 2.5rem 0 .75rem; font-size: 1.15rem; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.25rem; margin: 0; }
.facts dt { color: var(--quiet); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
.warning { color: var(--warning); }
.wide { overflow-x: auto; max-height: 85vh; overflow-y: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .75rem; text-align: left; white-space: nowrap; }
th { position: sticky; top: 0; z-index: 1; background: var(--paper); box-shadow: inset 0 -1px var(--line); }
th[aria-sort="ascending"]::after { content: " \\2191"; }
th[aria-sort="descending"]::after { content: " \\2193"; }
.sorts th { cursor: pointer; }
tbody tr:nth-child(even) { background: var(--stripe); }
.n { text-align: right; }
tr.quiet, small { color: var(--quiet); }
.bar { display: inline-block; width: 7rem; height: .7em; margin-left: .75rem; }
.bar b { display: block; height: 100%; background: var(--bar); border-radius: 0 2px 2px 0; }
.quiet .bar b { background: var(--quiet); }
figure { margin: .5rem 0; width: max-content; }
figure svg { display: block; }
figure svg text { font-family: system-ui, sans-serif !important; }
@media (max-width: 40rem) {
  .facts { grid-template-columns: 1fr; }
  .facts dt:empty { display: none; }
  .facts dt { margin-top: .5rem; }
  .bar { width: 3rem; }
  th, td { padding: .3rem .5rem; }
}
@media print { .wide { max-height: none; overflow: visible; } }
</style>
</head>
<body>
<h1>$heading</h1>
<p>$source</p>
$body
<script>
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
</script>
</body>
</html>
"""
