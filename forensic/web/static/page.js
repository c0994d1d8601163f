// Every page: a refusal is where the reader is, and leaves once it holds no more; what is told anew without a change is not
// read aloud again. Without this file a refusal just stands there.
"use strict";

const problem = document.getElementById("problem");
const told = new WeakMap(); // element -> what a poll brought there last
let refused = null; // the element whose request was refused

document.getElementById("fault")?.focus();
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const { elt, triggeringEvent } = detail.requestConfig;
  if (detail.isError) {
    refused = elt;
    return;
  }
  // A poll that goes on says nothing of what somebody was refused meanwhile.
  if (triggeringEvent || elt === refused) problem.replaceChildren();
  if (!triggeringEvent && told.get(detail.target) === detail.serverResponse) detail.shouldSwap = false;
  told.set(detail.target, detail.serverResponse);
});
