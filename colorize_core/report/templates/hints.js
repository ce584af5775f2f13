"use strict";

(() => {
  const LARGEST = 1 << 20; // bytes of a hints file that the job reads
  const MOST = { size: 2, points: 10_000, boxes: 10_000, palette: 256 };
  const LONGEST_SIDE = 1_000_000;
  const MOST_PAGES = 10_000;
  const SAME_SHAPE = 0.02; // how far two ratios of width to height may be apart
  const SLACK = 6; // screen pixels that a click may slip before it is a box
  const COLOR = /^#[0-9a-f]{6}$/i;
  const RECENT = "autochrome-recent-colors";
  const $ = (id) => document.getElementById(id);

  // What a name holds that steers instead of showing (controls, bidi overrides, ...) is shown as its code.
  const visible = (name) =>
    name.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (c) =>
      "\u200c\u200d".includes(c) ? c : `\\u{${c.codePointAt(0).toString(16)}}`,
    );
  const limit = (value, low, high) => Math.min(Math.max(value, low), high);
  const isBox = (mark) => "width" in mark;

  function refuse(sentence) {
    $("refusal").textContent = sentence;
    $("desk").hidden = true;
  }

  /** The photo that the address names, null where it names none. Anybody may have written the address. */
  function named(fragment) {
    const given = new URLSearchParams(fragment);
    const number = (name) => (/^[1-9]\d{0,5}$/.test(given.get(name)) ? Number(given.get(name)) : 0);
    const [key, image] = [given.get("key") || "", given.get("image") || ""];
    const [page, width, height] = ["page", "width", "height"].map(number);
    if (!key || key.length > 4096 || !page || !width || !height || !/^[0-9a-f]{24}$/.test(image)) return null;
    return { key, image, page, width, height };
  }

  addEventListener("hashchange", () => location.reload());
  const photo = named(location.hash.slice(1));
  if (!photo) {
    refuse("This address names no photo. Go back to the report and follow “Give color hints” below a photo.");
    return;
  }
  const fileName = photo.key.slice(photo.key.lastIndexOf("/") + 1) + ".hints.json";
  const longSide = Math.max(photo.width, photo.height);
  const spot = Math.round(longSide / 200); // radius of a new point: about what a click on the picture means

  // --- what there is, and how it changes ---------------------------------------------------------------------------

  const past = [];
  const future = [];
  let now = { marks: [], palette: [] }; // never changed, only replaced; marks of all pages
  let saved = now;
  let chosen = null; // number of the mark that a color goes to
  let color = $("color").value;

  const here = () => now.marks.filter((mark) => mark.page === photo.page);

  function change(next) {
    past.push(now);
    future.length = 0;
    now = next;
    draw();
  }

  function step(from, to) {
    if (!from.length) return;
    to.push(now);
    now = from.pop();
    draw();
  }

  const undo = () => step(past, future);
  const redo = () => step(future, past);

  function place(mark) {
    use(color);
    chosen = null;
    change({ ...now, marks: [...now.marks, { page: photo.page, color, ...mark }] });
  }

  function edit(i, values) {
    const old = here()[i];
    change({ ...now, marks: now.marks.map((mark) => (mark === old ? { ...mark, ...values } : mark)) });
  }

  function remove(i) {
    const old = here()[i];
    const held = document.activeElement;
    chosen = null;
    change({ ...now, marks: now.marks.filter((mark) => mark !== old) });
    if (!held.isConnected) stage.focus({ preventScroll: true });
    else if (held.id === `mark-${i}`) choose(i); // the next mark is there now
  }

  function move(i, dx, dy) {
    const { x, y, width = 1, height = 1 } = here()[i];
    edit(i, { x: limit(x + dx, 0, photo.width - width), y: limit(y + dy, 0, photo.height - height) });
  }

  /** The next color, or that of the chosen mark. */
  function pick(value) {
    color = value;
    if (chosen === null) return choose(null);
    use(color);
    edit(chosen, { color });
  }

  // --- recent colors, kept for the photos to come -------------------------------------------------------------------

  function recent() {
    try {
      const kept = JSON.parse(localStorage.getItem(RECENT));
      return kept.filter((value) => typeof value === "string" && COLOR.test(value)).slice(0, 8);
    } catch {
      return [];
    }
  }

  function use(value) {
    try {
      localStorage.setItem(RECENT, JSON.stringify([value, ...recent().filter((other) => other !== value)].slice(0, 8)));
    } catch {
      // a browser that keeps nothing for pages from a disk
    }
  }

  // --- drawing ------------------------------------------------------------------------------------------------------

  const copy = (template) => $(template).content.firstElementChild.cloneNode(true);

  function lay(element, { x, y, width = 0, height = 0 }) {
    element.style.left = `${(100 * x) / photo.width}%`;
    element.style.top = `${(100 * y) / photo.height}%`;
    element.style.width = `${(100 * width) / photo.width}%`;
    element.style.height = `${(100 * height) / photo.height}%`;
  }

  const where = (mark) => `${isBox(mark) ? `${mark.width} × ${mark.height} at ` : ""}${mark.x}, ${mark.y}`;

  /** The rectangle that a mark colors. */
  function extent(mark) {
    if (isBox(mark)) return mark;
    const side = 2 * mark.radius + 1;
    return { x: mark.x - mark.radius, y: mark.y - mark.radius, width: side, height: side };
  }

  /** As many children as things, each brought up to date; one that stays keeps the focus, and a click half done. */
  function fill(parent, things, make, update) {
    while (parent.children.length > things.length) parent.lastElementChild.remove();
    things.forEach((thing, i) => {
      if (i === parent.children.length) parent.append(make(i));
      update(parent.children[i], thing, i);
    });
  }

  function makeMark(i) {
    const made = copy("mark");
    const button = made.firstElementChild;
    button.id = `mark-${i}`;
    button.textContent = i + 1;
    button.addEventListener("focus", () => choose(i));
    button.addEventListener("keydown", (event) => {
      const arrow = arrowOf(event);
      if (arrow) move(i, ...arrow);
      else if (event.key === "Delete" || event.key === "Backspace") remove(i);
      else return;
      event.preventDefault();
    });
    return made;
  }

  function updateMark(element, mark, i) {
    const kind = isBox(mark) ? "box" : "point";
    element.className = `spot ${kind}`;
    element.style.setProperty("--color", mark.color);
    lay(element, extent(mark));
    element.firstElementChild.setAttribute("aria-label", `Mark ${i + 1}: ${kind} ${where(mark)}, ${mark.color}`);
  }

  function makeRow(i) {
    const made = copy("row");
    const [number, shade, , label, cross] = made.children;
    const radius = label.querySelector("input");
    number.id = `pick-${i}`;
    number.textContent = i + 1;
    number.setAttribute("aria-label", `Choose mark ${i + 1}`);
    number.addEventListener("click", () => $(`mark-${i}`).focus());
    shade.id = `color-${i}`;
    shade.setAttribute("aria-label", `Color of mark ${i + 1}`);
    shade.addEventListener("change", () => {
      use(shade.value);
      edit(i, { color: shade.value });
    });
    radius.id = `radius-${i}`;
    radius.max = longSide;
    radius.addEventListener("change", () => edit(i, { radius: limit(Math.round(radius.value), 0, longSide) }));
    cross.id = `delete-${i}`;
    cross.setAttribute("aria-label", `Delete mark ${i + 1}`);
    cross.addEventListener("click", () => remove(i));
    return made;
  }

  function updateRow(row, mark) {
    const [, shade, what, label] = row.children;
    shade.value = mark.color;
    what.textContent = where(mark);
    label.hidden = isBox(mark);
    label.querySelector("input").value = mark.radius ?? "";
  }

  function makeShade(i) {
    const made = copy("shade");
    const [shade, cross] = made.children;
    const put = (...values) => change({ ...now, palette: now.palette.toSpliced(i, 1, ...values) });
    shade.setAttribute("aria-label", `Color ${i + 1} of the palette`);
    shade.addEventListener("change", () => put(shade.value));
    cross.setAttribute("aria-label", `Delete color ${i + 1} of the palette`);
    cross.addEventListener("click", () => put());
    return made;
  }

  function updateRecent(button, value) {
    button.dataset.color = button.title = value;
    button.setAttribute("aria-label", value);
    button.firstElementChild.style.background = value;
  }

  function draw() {
    const marks = here();
    const elsewhere = now.marks.length - marks.length;
    fill($("marks"), marks, makeMark, updateMark);
    fill($("list"), marks, makeRow, updateRow);
    fill($("palette"), now.palette, makeShade, (shade, value) => (shade.firstElementChild.value = value));
    $("elsewhere").textContent = elsewhere ? `${elsewhere} more on other pages of this file, kept as they are.` : "";
    $("undo").disabled = !past.length;
    $("redo").disabled = !future.length;
    choose(chosen);
  }

  /** The mark of this number, null for none, is the one that a color goes to. */
  function choose(i) {
    const mark = i === null ? undefined : here()[i];
    chosen = mark ? i : null;
    if (mark) color = mark.color;
    fill($("recent"), recent(), () => copy("swatch"), updateRecent);
    $("color-title").textContent = chosen === null ? "Color of the next mark" : `Color of mark ${chosen + 1}`;
    $("color").value = color;
    $("code").textContent = color;
    $("add").firstElementChild.style.background = color;
    document.querySelectorAll("#marks button").forEach((button, i) => button.classList.toggle("chosen", i === chosen));
    document.querySelectorAll("#list li").forEach((row, i) => row.classList.toggle("chosen", i === chosen));
    document.querySelectorAll("[data-color]").forEach((button) => {
      button.setAttribute("aria-pressed", String(button.dataset.color === color));
    });
  }

  // --- pointer ------------------------------------------------------------------------------------------------------

  const stage = $("stage");
  let drag = null; // {from, to, screen, i, slipped}: i is the number of the mark that is moved, null for a new one

  function at(event) {
    const box = $("before").getBoundingClientRect();
    return {
      x: limit(((event.clientX - box.left) / box.width) * photo.width, 0, photo.width),
      y: limit(((event.clientY - box.top) / box.height) * photo.height, 0, photo.height),
    };
  }

  const pixel = ({ x, y }) => ({
    x: limit(Math.floor(x), 0, photo.width - 1),
    y: limit(Math.floor(y), 0, photo.height - 1),
  });

  function between(a, b) {
    const [left, right] = [Math.min(a.x, b.x), Math.max(a.x, b.x)].map(Math.round);
    const [top, bottom] = [Math.min(a.y, b.y), Math.max(a.y, b.y)].map(Math.round);
    const x = Math.min(left, photo.width - 1);
    const y = Math.min(top, photo.height - 1);
    return { x, y, width: Math.max(right - x, 1), height: Math.max(bottom - y, 1) };
  }

  function frame(box) {
    $("frame").hidden = !box;
    $("frame").style.setProperty("--color", color);
    if (box) lay($("frame"), box);
  }

  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    event.preventDefault();
    const mark = event.target.closest(".spot button");
    (mark || stage).focus({ preventScroll: true });
    stage.setPointerCapture(event.pointerId);
    const point = at(event);
    const i = mark ? Number(mark.id.slice("mark-".length)) : null;
    drag = { from: point, to: point, screen: [event.clientX, event.clientY], i, slipped: false };
  });
  stage.addEventListener("pointermove", (event) => {
    if (!drag || !event.isPrimary) return;
    drag.to = at(event);
    drag.slipped ||= Math.hypot(event.clientX - drag.screen[0], event.clientY - drag.screen[1]) > SLACK;
    if (!drag.slipped) return;
    if (drag.i === null) frame(between(drag.from, drag.to));
    else {
      const box = extent(here()[drag.i]);
      const [x, y] = [box.x + drag.to.x - drag.from.x, box.y + drag.to.y - drag.from.y];
      lay($(`mark-${drag.i}`).parentElement, { ...box, x, y });
    }
  });
  stage.addEventListener("pointerup", (event) => {
    if (!drag || !event.isPrimary) return;
    const { from, to, i, slipped } = drag;
    drag = null;
    frame(null);
    if (i === null) place(slipped ? between(from, to) : { ...pixel(from), radius: spot });
    else if (slipped) move(i, Math.round(to.x - from.x), Math.round(to.y - from.y));
  });
  stage.addEventListener("pointercancel", () => {
    drag = null;
    frame(null);
    draw();
  });

  // --- keys ---------------------------------------------------------------------------------------------------------

  const cross = { x: Math.floor(photo.width / 2), y: Math.floor(photo.height / 2) };
  let corner = null;

  function arrowOf(event) {
    const to = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const length = Math.max(1, Math.round(longSide / (event.shiftKey ? 1000 : 100)));
    return to && !event.ctrlKey && !event.metaKey && !event.altKey ? to.map((way) => way * length) : null;
  }

  stage.addEventListener("focus", () => choose(null));
  stage.addEventListener("keydown", (event) => {
    if (event.target !== stage) return;
    const arrow = arrowOf(event);
    if (arrow) {
      cross.x = limit(cross.x + arrow[0], 0, photo.width - 1);
      cross.y = limit(cross.y + arrow[1], 0, photo.height - 1);
    } else if (event.key === "Enter") {
      place(corner ? between(corner, cross) : { ...cross, radius: spot });
      corner = null;
    } else if (event.key === "b" && !event.ctrlKey && !event.metaKey) corner = { ...cross };
    else if (event.key === "Escape") corner = null;
    else return;
    event.preventDefault();
    lay($("cross"), cross);
    frame(corner && between(corner, cross));
  });
  addEventListener("keydown", (event) => {
    const typing = event.target.matches?.("input[type=number]");
    const key = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && !typing && (key === "z" || key === "y")) {
      event.preventDefault();
      if (key === "y" || event.shiftKey) redo();
      else undo();
    } else if (key === "escape" && chosen !== null) stage.focus({ preventScroll: true });
  });

  // --- the file -----------------------------------------------------------------------------------------------------

  function write() {
    const paged = ({ page, ...mark }) => (page === 1 ? mark : { ...mark, page });
    const hints = { size: [photo.width, photo.height] };
    const points = now.marks.filter((mark) => !isBox(mark)).map(paged);
    const boxes = now.marks.filter(isBox).map(paged);
    if (points.length) hints.points = points;
    if (boxes.length) hints.boxes = boxes;
    if (now.palette.length) hints.palette = now.palette;
    return JSON.stringify(hints) + "\n";
  }

  function say(sentence) {
    $("said").textContent = sentence;
  }

  /** What a hints file says, in the pixels of this photo. Throws an Error that says what is wrong with it. */
  function read(text) {
    const fail = (problem) => {
      throw new Error(problem);
    };
    const object = (value, what, names) => {
      if (typeof value !== "object" || value === null || Array.isArray(value)) fail(`${what} is no object`);
      const other = Object.keys(value).find((name) => !names.includes(name));
      if (other !== undefined) fail(`${what} has “${visible(other).slice(0, 40)}”, which hints do not have`);
    };
    const whole = (value, what, low, high) =>
      Number.isInteger(value) && value >= low && value <= high
        ? value
        : fail(`${what} is no whole number from ${low} to ${high}`);
    const shade = (value, what) =>
      typeof value === "string" && COLOR.test(value)
        ? value.toLowerCase()
        : fail(`${what} is not like #6c8b3c, and this page edits no other colors`);
    const list = (name) => {
      const value = Object.hasOwn(hints, name) ? hints[name] : [];
      if (!Array.isArray(value)) fail(`${name} is no list`);
      return value.length <= MOST[name] ? value : fail(`${name} holds more than ${MOST[name]}`);
    };

    let hints;
    try {
      hints = JSON.parse(text);
    } catch {
      fail("it is no JSON");
    }
    object(hints, "it", ["size", "points", "boxes", "palette"]);
    const [points, boxes, palette] = ["points", "boxes", "palette"].map(list);
    const shades = palette.map((value) => shade(value, "a color of its palette"));
    if (points.length + boxes.length === 0) return { marks: [], palette: shades };
    const size = list("size");
    if (size.length !== 2) fail("it lacks a size of [width, height]");
    const [width, height] = size.map((side) => whole(side, "its size", 1, LONGEST_SIDE));
    const [across, down] = [photo.width / width, photo.height / height];
    if (Math.abs(across / down - 1) > SAME_SHAPE)
      fail(`its marks are for a picture of ${width} × ${height} pixels, which has another shape than this one`);

    const page = (given, what) => ("page" in given ? whole(given.page, `the page of ${what}`, 1, MOST_PAGES) : 1);
    const point = (given, i) => {
      const what = `point ${i + 1}`;
      object(given, what, ["x", "y", "radius", "color", "page"]);
      return {
        page: page(given, what),
        color: shade(given.color, `the color of ${what}`),
        x: Math.floor((whole(given.x, `x of ${what}`, 0, width - 1) + 0.5) * across),
        y: Math.floor((whole(given.y, `y of ${what}`, 0, height - 1) + 0.5) * down),
        radius: Math.round(whole(given.radius ?? 0, `the radius of ${what}`, 0, LONGEST_SIDE) * across),
      };
    };
    const box = (given, i) => {
      const what = `box ${i + 1}`;
      object(given, what, ["x", "y", "width", "height", "color", "page"]);
      const x = whole(given.x, `x of ${what}`, 0, width - 1);
      const y = whole(given.y, `y of ${what}`, 0, height - 1);
      const right = x + whole(given.width, `the width of ${what}`, 1, width - x);
      const bottom = y + whole(given.height, `the height of ${what}`, 1, height - y);
      return {
        page: page(given, what),
        color: shade(given.color, `the color of ${what}`),
        ...between({ x: x * across, y: y * down }, { x: right * across, y: bottom * down }),
      };
    };
    return { marks: [...points.map(point), ...boxes.map(box)], palette: shades };
  }

  async function open(file) {
    const name = visible(file.name);
    try {
      if (file.size > LARGEST) throw new Error("it is larger than any hints file");
      const found = read(await file.text());
      chosen = null;
      change(found);
      saved = now;
      const count = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
      say(`${name} is open: ${count(now.marks.length, "mark")}, ${count(now.palette.length, "color")} in the palette.`);
    } catch (error) {
      say(`${name} was not opened: ${error.message}.`);
    }
  }

  $("save").addEventListener("click", () => {
    if (!now.marks.length && !now.palette.length)
      return say("There is no hint to save. To take hints back, delete the file beside the scan.");
    const file = new Blob([write()], { type: "application/json" });
    if (file.size > LARGEST) return say("These are more hints than the job reads from a file: delete some.");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = fileName;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    saved = now;
    say(`Saved as ${visible(fileName)}. If your browser changed the name, change it back.`);
  });
  $("open").addEventListener("change", (event) => {
    if (event.target.files.length) open(event.target.files[0]);
    event.target.value = "";
  });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) open(event.dataTransfer.files[0]);
  });
  addEventListener("beforeunload", (event) => {
    if (now !== saved) event.preventDefault();
  });

  // --- the rest -----------------------------------------------------------------------------------------------------

  $("undo").addEventListener("click", undo);
  $("redo").addEventListener("click", redo);
  $("color").addEventListener("change", (event) => pick(event.target.value));
  document.addEventListener("click", (event) => {
    const swatch = event.target.closest("[data-color]");
    if (swatch) pick(swatch.dataset.color);
  });
  $("add").addEventListener("click", () => {
    if (now.palette.includes(color)) return;
    use(color);
    change({ ...now, palette: [...now.palette, color] });
  });
  $("colored").addEventListener("change", (event) => {
    $("after").hidden = !event.target.checked;
  });

  const name = visible(fileName.slice(0, -".hints.json".length)) + (photo.page > 1 ? `, page ${photo.page}` : "");
  document.title = `Color hints: ${name}`;
  $("name").textContent = name;
  $("folder").textContent = visible(photo.key.slice(0, photo.key.lastIndexOf("/") + 1));
  $("size").textContent = `${photo.width.toLocaleString("en")} × ${photo.height.toLocaleString("en")} pixels`;
  $("place").textContent = `${$("place").dataset.source}/${visible(photo.key)}.hints.json`;
  stage.style.setProperty("--ratio", photo.width / photo.height);
  $("before").addEventListener("error", () =>
    refuse("The picture of this photo is not in this report any more. Make the report again and come back from there."),
  );
  $("before").addEventListener("load", ({ target: { naturalWidth, naturalHeight } }) => {
    const off = Math.abs(naturalHeight - (naturalWidth * photo.height) / photo.width);
    if (off > 1 + naturalHeight / naturalWidth)
      refuse("This address and its picture differ in shape. Go back to the report and follow “Give color hints” there.");
  });
  $("before").src = `img/${photo.image}-before.jpg`;
  $("after").src = `img/${photo.image}-after.jpg`;
  $("before").alt = `Scan of ${visible(photo.key)}`;
  $("after").alt = `Colored version of ${visible(photo.key)}`;
  lay($("cross"), cross);
  $("desk").hidden = false;
  draw();
})();
