// Filters and searches cells, opens link targets, shows the details of a cell below its row.
(() => {
  "use strict";

  const all = (selector, from = document) => Array.from(from.querySelectorAll(selector));
  const form = document.getElementById("_filter");
  if (!form) {
    document.documentElement.dataset.script = "ran";
    return;
  }
  const { q, area, kernel, open, close, shown } = form.elements;
  const boxes = all("input[name=verdict]", form);
  const nothing = document.getElementById("_nothing");
  let index = null;
  let filtered = false;

  // Built on first use, so that a report that is only read does not wait for it.
  function build() {
    const texts = new Map();
    const text = (id) => {
      if (!texts.has(id)) texts.set(id, document.getElementById(id).textContent.toLowerCase());
      return texts.get(id);
    };
    const cell = (td) =>
      all("a", td).map((a) => ({ verdict: a.className, outcome: a.getAttribute("href").slice(1) }));
    const row = (tr) => {
      const columns = all("td", tr).map(cell);
      return { tr, columns, name: tr.id.toLowerCase(), text };
    };
    const part = (element, parts) => ({ element, parts, open: element.open });
    return all(".area").map((each) =>
      Object.assign(
        part(
          each,
          all(".case", each).map((one) =>
            Object.assign(part(one, []), {
              rows: all("tbody > tr[id]", one).map(row),
              detail: all(".detail", one),
              plain: one.querySelector(".plain"),
              head: [".title", ".source"]
                .map((name) => one.querySelector(name).textContent)
                .join(" ")
                .toLowerCase(),
            }),
          ),
        ),
        { name: each.dataset.area },
      ),
    );
  }

  const wanted = () => ({
    words: q.value.toLowerCase().split(/\s+/).filter(Boolean),
    verdicts: boxes.filter((box) => box.checked).map((box) => box.value),
    area: area.value,
    kernel: kernel ? kernel.value : "",
  });

  function matching(row, head, want) {
    const seen = want.kernel === "" ? row.columns.flat() : row.columns[Number(want.kernel)] || [];
    const found = want.verdicts.length
      ? seen.filter((each) => want.verdicts.includes(each.verdict))
      : seen;
    if (!found.length && (want.verdicts.length || want.kernel !== "")) return null;
    const rest = want.words.filter((word) => !row.name.includes(word) && !head.includes(word));
    if (!rest.length) return found;
    const has = (each, word) => row.text(each.outcome).includes(word);
    const matches = found.filter((each) => rest.every((word) => has(each, word)));
    return matches.length ? matches : null;
  }

  // Shows one column only, with one rule instead of a change to every row.
  let rule = null;
  function columns(number) {
    const sheet = document.styleSheets[0];
    if (rule !== null) sheet.deleteRule(rule);
    rule = null;
    if (number === "") return;
    const other = `:not(:nth-child(${Number(number) + 2}))`;
    rule = sheet.insertRule(
      `.matrix .line > .k${other}, ` +
        `.case > .body > table tr:not(.detail-row) > *:not(:first-child)${other}` +
        " { display: none }",
      sheet.cssRules.length,
    );
  }

  const closeDetail = (tr) => {
    const next = tr.nextElementSibling;
    if (!next || !next.classList.contains("detail-row")) return null;
    const was = tr.querySelector("a[aria-expanded=true]");
    if (was) was.setAttribute("aria-expanded", "false");
    next.remove();
    return was;
  };

  function apply() {
    const want = wanted();
    const active = Boolean(want.words.length || want.verdicts.length || want.area || want.kernel);
    if (!active && !filtered) return;
    index = index || build();
    let found = 0;
    let total = 0;
    for (const each of index) {
      let inArea = 0;
      for (const one of each.parts) {
        const used = new Set();
        let inCase = 0;
        for (const row of one.rows) {
          const match = want.area && want.area !== each.name ? null : matching(row, one.head, want);
          closeDetail(row.tr);
          row.tr.hidden = !match;
          if (match) {
            inCase += 1;
            match.forEach((seen) => used.add(seen.outcome));
          }
        }
        for (const detail of one.detail) detail.parentElement.hidden = !used.has(detail.id);
        if (one.plain) one.plain.hidden = !one.plain.querySelector(".outcome:not([hidden])");
        one.element.hidden = !inCase;
        one.found = inCase;
        inArea += inCase;
        total += one.rows.length;
      }
      each.element.hidden = !inArea;
      found += inArea;
    }
    // Opens the results if they are few; without a filter, restores the earlier state.
    for (const each of index) {
      each.element.open = active ? found <= 400 || Boolean(want.area) : each.open;
      for (const one of each.parts) one.element.open = active ? found <= 60 : one.open;
    }
    columns(want.kernel);
    filtered = active;
    nothing.hidden = found > 0;
    shown.value = active ? `${found} of ${total} rows` : "";
  }

  // A filter is a link: #?q=EACCES&verdict=fail
  function remember() {
    const state = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (value) state.append(name, value);
    const text = state.toString();
    // A link to a cell clears the filter and stays.
    if (!text && !location.hash.startsWith("#?")) return;
    const address = text ? `#?${text}` : location.pathname + location.search;
    try {
      history.replaceState(null, "", address);
    } catch {
      // Some environments do not let a document change its address.
    }
  }

  function arrive() {
    const hash = location.hash.slice(1);
    if (hash.startsWith("?")) {
      const state = new URLSearchParams(hash.slice(1));
      q.value = state.get("q") || "";
      area.value = state.get("area") || "";
      if (kernel) kernel.value = state.get("kernel") || "";
      const verdicts = state.getAll("verdict");
      for (const box of boxes) box.checked = verdicts.includes(box.value);
      for (const select of [area, kernel]) {
        if (select && select.selectedIndex < 0) select.value = "";
      }
      apply();
      if (filtered) form.scrollIntoView();
      return;
    }
    if (!hash) return;
    let name = hash;
    try {
      name = decodeURIComponent(hash);
    } catch {
      // Not an encoded name, so use it unchanged.
    }
    const target = document.getElementById(hash) || document.getElementById(name);
    if (!target) return;
    if (target.closest("[hidden]")) {
      form.reset();
      apply();
    }
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    target.scrollIntoView({ block: target.tagName === "TR" ? "center" : "start" });
  }

  // Shows the details of a cell below its row instead of at the end of its case.
  function showDetail(a) {
    const tr = a.closest("tr");
    if (closeDetail(tr) === a) return;
    const detail = document.getElementById(a.getAttribute("href").slice(1)).cloneNode(true);
    detail.id = "_detail" + Array.prototype.indexOf.call(document.links, a);
    const name = document.createElement("p");
    name.className = "cell-name";
    const head = tr.closest("table").tHead.rows[0].cells[a.closest("td").cellIndex];
    name.textContent = `${tr.id} on Linux ${head.textContent.trim().replace(/\s+/g, ", policy ")}`;
    detail.prepend(name);
    const td = document.createElement("td");
    td.colSpan = tr.cells.length;
    td.append(detail);
    const row = document.createElement("tr");
    row.className = "detail-row";
    row.append(td);
    tr.after(row);
    a.setAttribute("aria-expanded", "true");
    a.setAttribute("aria-controls", detail.id);
  }

  document.addEventListener("click", (event) => {
    const a = event.target.closest("td > a[href^='#_o']");
    const modified = event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
    if (!a || event.button || modified) return;
    event.preventDefault();
    showDetail(a);
  });

  let waiting = 0;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      apply();
      remember();
    }, 120);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () =>
    setTimeout(() => {
      apply();
      remember();
    }),
  );
  const set = (value) =>
    all(".area, .case").forEach((each) => (each.open = value && !each.hidden));
  open.addEventListener("click", () => set(true));
  close.addEventListener("click", () => set(false));

  form.hidden = false;
  window.addEventListener("hashchange", arrive);
  arrive();
  document.documentElement.dataset.script = "ran";
})();
