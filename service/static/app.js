// What pages cannot do without scripts. Everything here only adds: each form works without it.

(() => {
  "use strict";

  // Choosing or dropping files starts the upload; its progress bar follows the bytes.
  document.addEventListener("change", (event) => {
    const input = event.target;
    if (!(input instanceof HTMLInputElement) || input.type !== "file") return;
    const form = input.form;
    const list = form && form.querySelector("[data-chosen]");
    if (list) {
      const names = Array.from(input.files || [], (file) => file.name);
      list.textContent = names.length > 3 ? `${names.length} files chosen` : names.join(", ");
    }
    if (form && form.hasAttribute("data-send-at-once") && input.files && input.files.length) form.requestSubmit();
  });

  for (const [kind, isOver] of [["dragenter", true], ["dragover", true], ["dragleave", false], ["drop", false]]) {
    document.addEventListener(kind, (event) => {
      const zone = event.target instanceof Element ? event.target.closest(".drop") : null;
      if (zone) zone.classList.toggle("over", isOver);
    });
  }

  document.addEventListener("htmx:xhr:progress", (event) => {
    const bar = event.target instanceof Element ? event.target.querySelector("progress[data-upload]") : null;
    if (!bar || !event.detail.lengthComputable) return;
    bar.hidden = false;
    bar.max = event.detail.total;
    bar.value = event.detail.loaded;
  });

  // Words that were shown once can be copied with a click.
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("[data-copy]") : null;
    const source = button && document.getElementById(button.dataset.copy);
    if (!source || !navigator.clipboard) return;
    navigator.clipboard.writeText(source.textContent.trim()).then(() => {
      button.textContent = "Copied";
    });
  });
})();
