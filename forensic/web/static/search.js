// The form of a new search: how many sketches make it, whose numbers count, and that a filter needs a justification.
"use strict";

const form = document.getElementById("search");
const conditions = document.getElementById("conditions");
const another = document.querySelector(".add-condition");

const tell = () => {
  const choices = [...document.querySelectorAll(".choice input[name=sketch]")];
  // The numbers of a sketch that is not chosen are out of sight: browsers check them before they submit, and say nothing.
  for (const choice of choices) {
    for (const field of choice.closest("li").querySelectorAll("input[type=number]")) field.disabled = !choice.checked;
  }
  const count = choices.filter((choice) => choice.checked).length;
  document.getElementById("go").textContent = count > 1 ? `Search with ${count} sketches of one person` : "Search";
  const filtered = [...conditions.querySelectorAll("input")].some((field) => field.value.trim());
  form.elements.justification.required = filtered;
  // What is not filled in must not be where nobody sees it.
  if (filtered) conditions.closest("details").open = true;
};

another.hidden = false;
another.addEventListener("click", () => {
  const row = conditions.lastElementChild.cloneNode(true);
  row.setAttribute("aria-label", `Condition ${conditions.children.length + 1}`);
  for (const field of row.querySelectorAll("input")) field.value = "";
  conditions.append(row);
  row.querySelector("input").focus();
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful && event.target.matches(".add-sketches")) event.target.reset();
});
document.addEventListener("input", tell);
htmx.onLoad(tell);
