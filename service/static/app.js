// What pages cannot do without scripts. Everything here only adds: each form works without it.

(() => {
  "use strict";

  // Choosing or dropping files starts the upload; its progress bar follows the bytes.
  document.addEventListener("change", (event) => {
    const input = event.target;
    if (!(input instanceof HTMLInputElement) || input.type !== "file") return;
    const form = input.form;
    const list = form && form.querySelector("[data-chosen]");
    if (list) list.textContent = Array.from(input.files || [], (file) => file.name).join(", ");
    if (form && form.hasAttribute("data-send-at-once") && input.files && input.files.length) form.requestSubmit();
  });

  for (const [kind, isOver] of [["dragenter", true], ["dragover", true], ["dragleave", false], ["drop", false]]) {
    document.addEventListener(kind, (event) => {
      const zone = event.target instanceof Element ? event.target.closest(".drop") : null;
      if (zone) zone.classList.toggle("over", isOver);
    });
  }

  // Pictures that were kept to go on with an upload stay with nobody who signs out.
  document.addEventListener("submit", (event) => {
    if (event.target instanceof HTMLFormElement && event.target.getAttribute("action") === "/sign-out") {
      indexedDB.deleteDatabase("ownhand-uploads");
    }
  });

  // What is wider than its place can be reached by the keyboard to be moved; what fits is no stop on the way.
  const reachWide = () => {
    for (const part of document.querySelectorAll(".scroll, pre")) {
      if (part.scrollWidth > part.clientWidth) part.tabIndex = 0;
      else part.removeAttribute("tabindex");
    }
  };
  reachWide();
  addEventListener("resize", reachWide);
  document.addEventListener("htmx:afterSettle", reachWide);
  document.addEventListener("toggle", reachWide, true);
  // What was chosen before the scripts were there, or is there again after a reload, is asked about as well: else a page
  // would show the price of what its address says.
  const isAsServed = (field) => {
    if (!(field instanceof HTMLSelectElement)) return field.value === field.defaultValue;
    return field.selectedIndex === Math.max(0, Array.from(field.options).findIndex((one) => one.defaultSelected));
  };
  document.addEventListener("htmx:load", (event) => {
    if (event.target !== document.body) return;
    for (const field of document.querySelectorAll("input[hx-get], select[hx-get]")) {
      if (!isAsServed(field)) field.dispatchEvent(new Event(field.tagName === "SELECT" ? "change" : "input"));
    }
  });

  // Everything of one name at once, and back.
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("[data-tick-all]") : null;
    if (!button || !button.form) return;
    const boxes = Array.from(button.form.querySelectorAll(`input[type=checkbox][name="${button.dataset.tickAll}"]`));
    const isAll = boxes.every((box) => box.checked);
    for (const box of boxes) box.checked = !isAll;
  });

  // Words that were shown once can be copied with a click.
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("[data-copy]") : null;
    const source = button && document.getElementById(button.dataset.copy);
    if (!source || !navigator.clipboard) return;
    navigator.clipboard.writeText(source.textContent.trim()).then(() => {
      button.textContent = button.dataset.copied || "✓";
    });
  });
})();
