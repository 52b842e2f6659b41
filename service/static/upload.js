// Hundreds of pictures, each sent by itself, over connections that are cut and tabs that are closed. Without this file
// the page's form still takes them all in one request.
//
// The server knows which files an upload consists of and how much of each has come; this browser keeps those that have
// not (IndexedDB), so that whoever comes back goes on where they were. Where it cannot keep them, the same files dropped
// again are known by their path, size and date, and only what is missing is sent.

(() => {
  "use strict";

  const AT_ONCE = 3;
  const WAIT_MS = 500;
  const WAIT_MS_MAX = 15000;
  const PAINT_MS = 250;

  const find = (selector) => document.querySelector(selector);
  const form = () => find("form[data-uploads]");
  const part = (name) => find(`#upload [data-upload-${name}]`);
  // The page brings every sentence, in its language, with values in braces.
  const words = JSON.parse(find("#upload")?.dataset.words || "{}");
  const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const fillMany = ([one, many], num) => fill(num === 1 ? one : many, { num });
  const tenths = new Intl.NumberFormat(document.documentElement.lang, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  const pause = (ms) => new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    window.addEventListener("online", () => { clearTimeout(timer); resolve(); }, { once: true });
  });

  // What is on its way, by the server's ids, and the files of it that are at hand.
  let items = new Map();
  const files = new Map();
  let running = 0;
  let isKept = true;
  let isOver = false;
  let begun = { at: 0, bytes: 0 };
  let pieceBytes = 8 * 1024 * 1024;

  // -- what the browser keeps ------------------------------------------------------------------------------------

  const store = (mode, act) => new Promise((resolve, reject) => {
    const opening = indexedDB.open("ownhand-uploads", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("files");
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const doing = opening.result.transaction("files", mode);
      const asked = act(doing.objectStore("files"));
      doing.oncomplete = () => { opening.result.close(); resolve(asked.result); };
      doing.onabort = doing.onerror = () => { opening.result.close(); reject(doing.error); };
    };
  });
  const recall = (id) => store("readonly", (kept) => kept.get(id)).catch(() => undefined);
  const forget = (id) => store("readwrite", (kept) => kept.delete(id)).catch(() => undefined);

  async function keepAll(ids) {
    for (const id of ids) {
      if (!isWaiting(id)) continue;
      try {
        await store("readwrite", (kept) => kept.put(files.get(id), id));
      } catch {
        // No room, or a private window: then the same files are dropped again.
        isKept = false;
        return;
      }
      if (!isWaiting(id)) await forget(id);
    }
  }

  const isWaiting = (id) => items.has(id) && items.get(id).state === "waiting";

  // -- asking the server -------------------------------------------------------------------------------------------

  // The answer to a request that may be sent again, however often the connection is lost.
  async function ask(method, path, body, headers) {
    for (let wait = WAIT_MS; ; wait = Math.min(2 * wait, WAIT_MS_MAX)) {
      try {
        const token = form().elements.csrf.value;
        const answer = await fetch(path, { method, body, headers: { "X-CSRF-Token": token, ...headers } });
        if (answer.status !== 429 && answer.status < 500) return answer;
        const later = Math.max(Number(answer.headers.get("Retry-After")) * 1000, wait);
        say(fill(words.busy, { time: time(later / 1000) }));
        await pause(later);
      } catch {
        say(words.lost);
        await pause(wait * (0.75 + Math.random() / 2));
      }
    }
  }

  async function problemOf(answer) {
    const said = await answer.json().catch(() => ({}));
    return said.detail || fill(words.broken, { status: answer.status });
  }

  async function digest(piece) {
    // Only there on pages that came by TLS or from this machine; without it TCP alone watches over the bytes.
    if (!crypto.subtle) return {};
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", piece));
    return { "Content-Digest": `sha-256=:${btoa(String.fromCharCode(...hash))}:` };
  }

  // -- sending -------------------------------------------------------------------------------------------------------

  async function add(chosen) {
    if (!chosen.length) return;
    const named = chosen.map(([name, file]) => ({ filename: name.slice(-400), bytes: file.size, modified: Math.max(0, Math.round(file.lastModified)) }));
    find("#upload").hidden = false;
    say(fillMany(words.looking, chosen.length));
    const body = JSON.stringify({ files: named, rights: form().elements.rights.value });
    const answer = await ask("POST", form().dataset.uploads, body, { "Content-Type": "application/json" });
    if (!answer.ok) return say(await problemOf(answer));
    take(await answer.json());
    const byKey = new Map([...items.values()].map((item) => [keyOf(item), item.id]));
    const ids = named.map((one, at) => {
      const id = byKey.get(keyOf(one));
      if (id) files.set(id, chosen[at][1]);
      return id;
    });
    void keepAll(ids.filter(Boolean));
    start();
  }

  const keyOf = (item) => JSON.stringify([item.filename, item.bytes, item.modified]);

  function take(upload) {
    items = new Map(upload.items.map((item) => [item.id, item]));
    pieceBytes = upload.piece_bytes;
  }

  function start() {
    isOver = false;
    begun = { at: performance.now(), bytes: received() };
    // Counted before the first begins: one that finds nothing to do is done at once.
    const idle = AT_ONCE - running;
    running += idle;
    for (let number = 0; number < idle; number += 1) void work();
    paint();
  }

  async function work() {
    for (let id = next(); id && !isOver; id = next()) {
      const item = items.get(id);
      item.isTaken = true;
      try {
        await bring(item, files.get(id));
      } catch {
        // The file was moved or changed since it was chosen.
        item.isMissing = true;
        files.delete(id);
      }
      item.isTaken = false;
      if (item.state !== "waiting") void forget(id);
    }
    running -= 1;
    if (running === 0) end();
  }

  const next = () => [...items.values()].find((item) => item.state === "waiting" && !item.isTaken && files.has(item.id))?.id;

  async function bring(item, file) {
    while (item.state === "waiting" && !isOver) {
      const piece = await file.slice(item.received, item.received + pieceBytes).arrayBuffer();
      const path = `/v1/uploads/${item.id}?offset=${item.received}`;
      const answer = await ask("PUT", path, piece, { "Content-Type": "application/octet-stream", ...(await digest(piece)) });
      const said = await answer.json().catch(() => ({}));
      if (answer.ok) {
        Object.assign(item, said);
        // Its place is taken by what is true of it now.
        if (item.state === "refused") item.file = file;
      } else if (answer.status === 409 && typeof said.received === "number") {
        item.received = said.received;
      } else if (said.kind !== "damaged") {
        stop(answer.status, said.detail, item);
      }
      say("");
    }
  }

  function stop(status, detail, item) {
    if (status === 404) {
      items.delete(item.id);
      item.state = "given up";
    } else if (status === 401) {
      isOver = true;
      say(words.signed_out);
    } else if (status === 422) {
      item.state = "refused";
      item.problem = { detail };
    } else {
      isOver = true;
      say(detail || fill(words.broken, { status }));
    }
  }

  function end() {
    paint();
    const left = [...items.values()].filter((item) => item.state === "waiting");
    if (isOver) return;
    if (left.length) say(fillMany(words.missing, left.length));
    // Sentences of files that were refused, and the files to try again, stay on this page.
    // Put away while the page was on its way: what came shows it as it was before.
    showAnew().then(() => (isOver ? showAnew() : paint()));
  }

  const showAnew = () => htmx.ajax("GET", form().dataset.works, { target: "#works", swap: "outerHTML" });

  // -- what is seen --------------------------------------------------------------------------------------------------

  const received = () => [...items.values()].reduce((sum, item) => sum + item.received, 0);
  const size = (bytes) => bytes >= 1e9 ? `${tenths.format(bytes / 1e9)} GB` : bytes >= 1e6 ? `${tenths.format(bytes / 1e6)} MB` : `${Math.max(1, Math.round(bytes / 1e3))} KB`;
  const time = (s) => s < 90 ? `${Math.max(1, Math.round(s))} s` : s < 5400 ? `${Math.round(s / 60)} min` : `${tenths.format(s / 3600)} h`;

  function say(sentence) {
    const line = part("said");
    const shown = sentence || (running ? (isKept ? words.kept : words.not_kept) : "");
    if (line && line.textContent !== shown) line.textContent = shown;
  }

  function paint() {
    const box = find("#upload");
    if (!box || !items.size) return;
    const all = [...items.values()];
    const count = (state) => all.filter((item) => item.state === state).length;
    const refused = all.filter((item) => item.state === "refused");
    const total = all.reduce((sum, item) => sum + item.bytes, 0);
    const here = received();
    box.hidden = false;
    box.querySelector("progress").max = total || 1;
    box.querySelector("progress").value = here;
    part("count").textContent = fill(refused.length ? words.refused : words.arrived, { arrived: count("arrived"), total: all.length, refused: refused.length });
    const speed = (here - begun.bytes) / Math.max(1, performance.now() - begun.at);
    const isKnown = running && speed > 0;
    const left = isKnown ? time((total - here) / speed / 1000) : "";
    part("bytes").textContent = fill(isKnown ? words.left : words.sent, { sent: size(here), total: size(total), time: left });
    part("end").querySelector("button").textContent = count("waiting") ? words.give_up : words.put_away;
    part("refused").hidden = !refused.length;
    part("refused").querySelector("ul").replaceChildren(...refused.map((item) => {
      const line = document.createElement("li");
      line.textContent = item.problem ? item.problem.detail : item.filename;
      return line;
    }));
    part("again").hidden = !refused.some((item) => item.file);
    if (running) setTimeout(paint, PAINT_MS);
  }

  // -- what people do ------------------------------------------------------------------------------------------------

  async function walk(entry, folder) {
    if (entry.name.startsWith(".")) return [];
    if (entry.isFile) return [[folder + entry.name, await new Promise((resolve, reject) => entry.file(resolve, reject))]];
    const reader = entry.createReader();
    const found = [];
    // A reader gives a hundred at a time, and nothing at its end.
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) return found;
      for (const one of some) found.push(...await walk(one, `${folder}${entry.name}/`));
    }
  }

  document.addEventListener("drop", async (event) => {
    const zone = event.target instanceof Element ? event.target.closest("form[data-uploads] .drop") : null;
    if (!zone || !event.dataTransfer) return;
    event.preventDefault();
    zone.classList.remove("over");
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
    await add((await Promise.all(entries.map((entry) => walk(entry, "")))).flat());
  });
  document.addEventListener("dragover", (event) => {
    if (event.target instanceof Element && event.target.closest("form[data-uploads] .drop")) event.preventDefault();
  });

  document.addEventListener("change", (event) => {
    const input = event.target;
    if (!(input instanceof HTMLInputElement) || input.type !== "file" || input.form !== form()) return;
    const chosen = [...input.files].map((file) => [file.webkitRelativePath || file.name, file]);
    input.value = "";
    void add(chosen);
  });

  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element) || !event.target.closest("[data-upload-again]")) return;
    const again = [...items.values()].filter((item) => item.state === "refused" && item.file);
    void add(again.map((item) => [item.filename, item.file]));
  });

  document.addEventListener("submit", (event) => {
    // What is given up is not kept either.
    if (!(event.target instanceof Element) || !event.target.matches("[data-upload-end]")) return;
    isOver = true;
    for (const id of items.keys()) void forget(id);
    items = new Map();
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    // An upload that ended at the same moment has put another page where this answer belongs.
    const sender = event.detail.elt;
    if (sender instanceof Element && sender.matches("[data-upload-end]") && !sender.isConnected) void showAnew();
  });

  async function goOn() {
    const box = find("#upload");
    if (!form() || !box || box.dataset.waiting === "0") return;
    const answer = await ask("GET", form().dataset.uploads);
    const [upload] = answer.ok ? (await answer.json()).items : [];
    if (!upload || items.size) return;
    take(upload);
    for (const id of items.keys()) {
      const file = isWaiting(id) ? await recall(id) : undefined;
      if (file) files.set(id, file);
    }
    if (files.size) start();
  }
  void goOn();
})();
