// A label of class "drop" around a file input takes files that are dropped on it. Without this, the input does.
"use strict";

const dropOf = (event) => event.target.closest?.(".drop");

for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    const drop = dropOf(event);
    if (drop) {
      event.preventDefault();
      drop.classList.add("over");
    }
  });
}
document.addEventListener("dragleave", (event) => dropOf(event)?.classList.remove("over"));
document.addEventListener("drop", (event) => {
  const drop = dropOf(event);
  if (!drop) return;
  event.preventDefault();
  drop.classList.remove("over");
  const input = drop.querySelector("input[type=file]");
  if (event.dataTransfer.files.length) {
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }
});
