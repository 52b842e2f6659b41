// What is wrong with the page that is open, as sentences. Run inside the page, with what a person could see of it.

// A script on every page; what one weighs is its size after decompression.
const SCRIPT_BYTES_MAX = 100 * 1024;
const SHIFT_MAX = 0.05;

async function faultsOfPage() {
  const told = (element) => element.outerHTML.replace(/\s+/g, " ").slice(0, 160);
  const every = (selector, isWrong, words) =>
    [...document.querySelectorAll(selector)].filter(isWrong).map((element) => `${words}: ${told(element)}`);

  const shifted = await shift();
  const root = document.documentElement;
  const surplus = root.scrollWidth - root.clientWidth;
  const scripts = performance.getEntriesByType("resource").filter((one) => one.initiatorType === "script");
  const weight = scripts.reduce((sum, one) => sum + one.decodedBodySize, 0);
  const levels = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].map((heading) => Number(heading.tagName[1]));
  const numTitles = levels.filter((level) => level === 1).length;
  const skipped = levels.findIndex((level, index) => level > (index ? levels[index - 1] : 0) + 1);
  return [
    ...(surplus > 0 ? [`${surplus} pixels wider than the screen`] : []),
    ...(shifted.sum > SHIFT_MAX
      ? [`what is there already moves by ${shifted.sum.toFixed(3)} while it loads: ${shifted.moved.map(told).join(", ")}`]
      : []),
    // This browser's person asked for no motion.
    ...(document.getAnimations().length ? [`${document.getAnimations().length} things move`] : []),
    ...(weight > SCRIPT_BYTES_MAX ? [`${weight} bytes of scripts`] : []),
    ...(numTitles === 1 ? [] : [`${numTitles} headings of the first level`]),
    ...(skipped < 0 ? [] : [`heading ${skipped + 1} is of level ${levels[skipped]}, which leaves one out`]),
    ...every("[style]", () => true, "a style of its own"),
    ...every("style, script:not([src])", () => true, "written into the page"),
    ...every("*", (one) => one.getAttributeNames().some((name) => name.startsWith("on")), "a script of its own"),
    ...every("img", (image) => image.complete && !image.naturalWidth, "a picture that did not come"),
    ...every("img", (image) => !hasRoom(image), "a picture without room of its own"),
    ...every(".wraps, .downwards", isCutOff, "a table of which a part is out of sight"),
    ...every("td.number, th.number", (cell) => getComputedStyle(cell).textAlign !== "right", "not aligned"),
  ];
}

// Tables that are made to fit: those that are read downwards do so on a phone.
function isCutOff(table) {
  const mayBeWide = table.matches(".downwards") && window.innerWidth > 640;
  return !mayBeWide && table.getBoundingClientRect().width > table.parentElement.clientWidth + 1;
}

// What the keyboard can reach and does not show. The ring is around the thing, or around the card it is all of.
function faultsOfRings() {
  const faults = [];
  for (const element of document.querySelectorAll("a[href], button:enabled, input, select, textarea, summary")) {
    if (!element.checkVisibility({ visibilityProperty: true }) || element.type === "hidden") continue;
    element.focus({ preventScroll: true, focusVisible: true });
    if (document.activeElement !== element) continue;
    const ring = getComputedStyle(element.closest(".card, .drop") || element);
    const isSeen = ring.outlineStyle !== "none" && parseFloat(ring.outlineWidth) >= 2;
    const ground = getComputedStyle(document.documentElement).backgroundColor;
    if (!isSeen || contrast(ring.outlineColor, ground) < 3) {
      faults.push(`no ring to be seen: ${element.outerHTML.replace(/\s+/g, " ").slice(0, 160)}`);
    }
  }
  document.activeElement.blur();
  return faults;
}

// WCAG's ratio of two colours as browsers write them, `rgb(1, 2, 3)`.
function contrast(one, other) {
  const [low, high] = [one, other].map((colour) => {
    const levels = colour.match(/[\d.]+/g).slice(0, 3).map((part) => Number(part) / 255);
    const [red, green, blue] = levels.map((level) => (level <= 0.04045 ? level / 12.92 : ((level + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }).sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

// Both attributes, or a style that says how high it is for its width.
function hasRoom(image) {
  const isSized = image.hasAttribute("width") && image.hasAttribute("height");
  return isSized || !/^auto( |$)/.test(getComputedStyle(image).aspectRatio);
}

// The sum of layout shifts while the page came, and what moved. What news move later is no fault of how it was written.
function shift() {
  return new Promise((resolve) => {
    let sum = 0;
    const moved = [];
    const end = performance.getEntriesByType("navigation")[0].loadEventEnd + 250;
    const observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries().filter((one) => one.startTime < end)) {
        sum += entry.value;
        moved.push(...entry.sources.map((one) => one.node).filter((node) => node instanceof Element));
      }
    });
    observer.observe({ type: "layout-shift", buffered: true });
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => resolve({ sum, moved }))));
  });
}

// What cannot be done on this page in a browser that runs no scripts. To be run in one that does not.
function faultsWithoutScripts() {
  const told = (element) => element.outerHTML.replace(/\s+/g, " ").slice(0, 160);
  for (const details of document.querySelectorAll("details")) details.open = true;
  const isThere = (element) => element.checkVisibility({ visibilityProperty: true });
  const faults = [];
  for (const form of document.forms) {
    // Of something that is not there yet.
    if (form.closest("[hidden]")) continue;
    const method = form.getAttribute("method");
    const sends = [...form.elements].filter((one) => one.type === "submit" && isThere(one));
    const wants = [
      [["get", "post"].includes(method), "does not say how it is sent"],
      [(form.getAttribute("action") || "").startsWith("/"), "does not say where it is sent"],
      [sends.length > 0, "has no button that sends it"],
      [method !== "post" || form.elements.namedItem("csrf"), "lacks the word against forgery"],
    ];
    for (const [isFine, words] of wants) if (!isFine) faults.push(`a form ${words}: ${told(form)}`);
  }
  const asking = ["hx-get", "hx-post", "hx-put", "hx-patch", "hx-delete"];
  for (const element of document.querySelectorAll(asking.map((name) => `[${name}]`).join(", "))) {
    const url = asking.map((name) => element.getAttribute(name)).find((one) => one !== null);
    const plain = element.getAttribute("href") ?? element.getAttribute("formaction") ?? element.getAttribute("action");
    // A field is sent by its form's own button.
    const isField = element.matches("input, select, textarea") && element.form !== null;
    // Where a page is to be read from is nothing that a script asks for.
    if (!isField && plain?.split("#")[0] !== url) faults.push(`only scripts can use it: ${told(element)}`);
  }
  for (const button of document.querySelectorAll("button")) {
    const isCopy = button.hasAttribute("data-copy");
    if (!button.form && !isCopy && isThere(button)) faults.push(`a button that does nothing: ${told(button)}`);
  }
  return faults;
}
