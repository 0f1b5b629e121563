// Runs axe on the page, with everything open, and puts its findings at the end of the page.
(async () => {
  for (const each of document.querySelectorAll("td:last-child > a[href^='#_o']")) each.click();
  for (const each of document.querySelectorAll("details")) each.open = true;
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const { passes, violations } = await axe.run({ runOnly: tags });
  const lines = violations.flatMap(({ id, help, nodes }) =>
    nodes.map((node) => `${id}: ${help}: ${node.html}\n    ${node.failureSummary}`),
  );
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const found = document.createElement("pre");
  found.id = "_axe";
  found.dataset.passes = passes.length;
  found.dataset.violations = lines.length;
  found.dataset.scheme = dark ? "dark" : "light";
  found.textContent = lines.join("\n");
  document.body.append(found);
})();
