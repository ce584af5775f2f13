"use strict";

for (const compare of document.querySelectorAll(".compare")) {
  const range = compare.querySelector("input");
  const show = () => compare.style.setProperty("--p", range.value + "%");
  const follow = (event) => {
    const box = compare.getBoundingClientRect();
    range.value = (100 * (event.clientX - box.left)) / box.width;
    show();
  };
  range.addEventListener("input", show);
  compare.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    compare.setPointerCapture(event.pointerId);
    range.focus({ preventScroll: true });
    follow(event);
  });
  compare.addEventListener("pointermove", (event) => {
    if (compare.hasPointerCapture(event.pointerId)) follow(event);
  });
  compare.addEventListener("dragstart", (event) => event.preventDefault());
  show();
}

addEventListener("beforeprint", () => {
  for (const image of document.images) image.loading = "eager";
});

(() => {
  const rows = JSON.parse(document.getElementById("rows").textContent).map(
    ([key, page, status, kind, message, uncertainty, colorfulness, width, height, href, hints]) => ({
      key, page, status, kind, message, uncertainty, colorfulness, href, hints,
      doubt: status === "doubtful" ? uncertainty : Infinity, // nothing is less sure than no result
      pixels: width && height ? width * height : null,
      size: width && height ? `${width} × ${height}` : "",
      text: `${key} ${kind} ${message}`.toLowerCase(),
    }),
  );
  if (!rows.length) return;

  const columns = [
    { title: "Photo", by: "key" },
    { title: "State", by: "status" },
    { title: "Why", by: "kind" },
    { title: "In detail", by: "message" },
    { title: "Size", by: "pixels", number: true },
    { title: "Uncertainty", by: "doubt", number: true },
    { title: "Colorfulness", by: "colorfulness", number: true },
  ];
  const $ = (id) => document.getElementById(id);
  const table = $("list");
  const body = table.tBodies[0];
  const view = { text: "", status: null, by: "doubt", down: true, page: 0 };
  const order = new Intl.Collator("en", { numeric: true });

  function element(name, content, attributes = {}) {
    const made = document.createElement(name);
    if (content !== null) made.append(content);
    for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
    return made;
  }

  function compare(a, b) {
    const x = a[view.by];
    const y = b[view.by];
    if (x === null || y === null) return (x === null) - (y === null);
    const sign = x === y ? 0 : typeof x === "number" ? x - y : order.compare(x, y);
    return view.down ? -sign : sign;
  }

  function line(row) {
    const name = element("bdi", row.key + (row.page ? ` (page ${row.page + 1})` : ""), { dir: "ltr" });
    const photo = document.createDocumentFragment();
    photo.append(row.href ? element("a", name, { href: row.href }) : name);
    const attributes = { href: row.hints, class: "hint", "aria-label": `Give color hints: ${row.key}` };
    if (row.hints) photo.append(element("a", "Give color hints", attributes));
    const cells = [
      photo,
      element("span", row.status, { class: `tag ${row.status}` }),
      row.kind.replaceAll("_", " "),
      element("bdi", row.message),
      row.size,
      row.uncertainty === null ? "" : row.uncertainty.toFixed(2),
      row.colorfulness === null ? "" : row.colorfulness.toFixed(0),
    ];
    const tr = document.createElement("tr");
    cells.forEach((content, i) => {
      const { title, number } = columns[i];
      const attributes = i > 3 ? { "data-label": title } : {};
      if (number) attributes.class = "n";
      tr.append(element("td", content === "" ? null : content, attributes));
    });
    return tr;
  }

  function draw() {
    const wanted = view.text.toLowerCase().split(/\s+/).filter(Boolean);
    const found = rows.filter(
      (row) => (!view.status || row.status === view.status) && wanted.every((word) => row.text.includes(word)),
    );
    found.sort(compare);
    const size = Number($("page-size").value);
    const pages = Math.max(1, Math.ceil(found.length / size));
    view.page = Math.min(view.page, pages - 1);
    body.replaceChildren(...found.slice(view.page * size, (view.page + 1) * size).map(line));
    const count = (n) => n.toLocaleString("en");
    $("found").textContent =
      found.length === rows.length ? `${count(rows.length)} listed` : `${count(found.length)} of ${count(rows.length)} listed`;
    $("page-number").textContent = `Page ${count(view.page + 1)} of ${count(pages)}`;
    $("previous").disabled = view.page === 0;
    $("next").disabled = view.page === pages - 1;
    document.querySelector(".pager").hidden = pages === 1;
    document.querySelectorAll(".chip").forEach((chip) => {
      chip.setAttribute("aria-pressed", String((chip.dataset.status || null) === view.status));
    });
    table.querySelectorAll("th").forEach((th, i) => {
      th.removeAttribute("aria-sort");
      const sorted = columns[i].by === view.by;
      if (sorted) th.setAttribute("aria-sort", view.down ? "descending" : "ascending");
      th.firstChild.textContent = columns[i].title + (sorted ? (view.down ? " ↓" : " ↑") : "");
    });
  }

  function change(what) {
    Object.assign(view, { page: 0 }, what);
    draw();
  }

  for (const { title, by, number } of columns) {
    const button = element("button", title, { type: "button" });
    button.addEventListener("click", () =>
      change({ by, down: view.by === by ? !view.down : Boolean(number) }),
    );
    const th = element("th", button, { scope: "col" });
    if (number) th.className = "n";
    table.tHead.rows[0].append(th);
  }
  for (const status of [null, "rejected", "failed", "doubtful"]) {
    const count = status ? rows.filter((row) => row.status === status).length : rows.length;
    if (!count) continue;
    const chip = element("button", `${status || "all"} ${count.toLocaleString("en")}`, { type: "button", class: "chip" });
    if (status) chip.dataset.status = status;
    chip.addEventListener("click", () => change({ status }));
    document.querySelector(".chips").append(chip);
  }
  $("filter").addEventListener("input", (event) => change({ text: event.target.value }));
  $("page-size").addEventListener("change", () => change({}));
  $("previous").addEventListener("click", () => change({ page: view.page - 1 }));
  $("next").addEventListener("click", () => change({ page: view.page + 1 }));
  document.querySelector(".tools").hidden = false;
  table.hidden = false;
  draw();
})();
