// A brush that paints which part of a picture is made anew. What it paints goes into the form's own file field, so the
// server knows no difference; a mask from elsewhere or a rectangle in numbers does the same without it.

(() => {
  "use strict";

  const LONGEST = 1024;
  const place = document.querySelector("[data-brush]");
  if (!place) return;
  const find = (name) => place.querySelector(`[data-brush-${name}]`);
  const [board, tools, words, width, clear] = ["board", "tools", "words", "width", "clear"].map(find);
  const areas = Array.from(place.querySelectorAll("[data-brush-area]"));
  const painted = document.getElementById("painted");
  const picture = document.getElementById("picture");
  const image = new Image();
  const canvas = document.createElement("canvas");
  let last = null;

  image.alt = "";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", place.dataset.label);

  image.addEventListener("load", () => {
    board.append(image, canvas);
    const scale = Math.min(1, LONGEST / Math.max(image.naturalWidth, image.naturalHeight));
    canvas.width = Math.max(1, Math.round(image.naturalWidth * scale));
    canvas.height = Math.max(1, Math.round(image.naturalHeight * scale));
    board.hidden = tools.hidden = false;
    words.textContent = place.dataset.paint;
    showArea();
  });
  image.addEventListener("error", () => {
    board.hidden = tools.hidden = true;
  });

  if (place.dataset.brush) image.src = place.dataset.brush;
  picture.addEventListener("change", () => {
    if (!picture.files.length) return;
    if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(picture.files[0]);
    painted.value = "";
  });

  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * canvas.width) / box.width, ((event.clientY - box.top) * canvas.height) / box.height];
  };
  const pen = () => {
    const drawn = canvas.getContext("2d");
    drawn.lineCap = drawn.lineJoin = "round";
    drawn.strokeStyle = drawn.fillStyle = "#e0402a";
    drawn.lineWidth = (Number(width.value) / 100) * Math.max(canvas.width, canvas.height);
    return drawn;
  };
  const stroke = (from, to) => {
    const drawn = pen();
    drawn.beginPath();
    drawn.moveTo(...from);
    drawn.lineTo(...to);
    drawn.stroke();
  };

  canvas.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    for (const area of areas) area.value = "";
    last = at(event);
    stroke(last, last);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    const next = at(event);
    stroke(last, next);
    last = next;
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(kind, () => {
      if (last) keep();
      last = null;
    });
  }

  // White where something was painted, black elsewhere, as a file of the form.
  function keep() {
    const mask = document.createElement("canvas");
    [mask.width, mask.height] = [canvas.width, canvas.height];
    const drawn = mask.getContext("2d");
    drawn.drawImage(canvas, 0, 0);
    drawn.globalCompositeOperation = "source-in";
    drawn.fillStyle = "#fff";
    drawn.fillRect(0, 0, mask.width, mask.height);
    drawn.globalCompositeOperation = "destination-over";
    drawn.fillStyle = "#000";
    drawn.fillRect(0, 0, mask.width, mask.height);
    mask.toBlob((blob) => {
      const files = new DataTransfer();
      files.items.add(new File([blob], "painted.png", { type: "image/png" }));
      painted.files = files.files;
    }, "image/png");
  }

  function wipe() {
    canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    painted.value = "";
  }

  // A rectangle in numbers is shown where it lies; the server reads the numbers themselves.
  function showArea() {
    const [left, top, wide, high] = areas.map((area) => Number(area.value) / 100);
    if (!wide || !high || board.hidden) return;
    wipe();
    pen().fillRect(left * canvas.width, top * canvas.height, wide * canvas.width, high * canvas.height);
  }

  for (const area of areas) area.addEventListener("input", showArea);
  clear.addEventListener("click", () => {
    for (const area of areas) area.value = "";
    wipe();
  });
})();
