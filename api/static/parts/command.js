// A command line that is ready to copy.
import { html, useState } from "../lib.js";

const SHOWN_MS = 1500;

async function copy(text, holder) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without TLS browsers give no clipboard: the text is selected, so that one key copies it.
    getSelection()?.selectAllChildren(holder);
    return document.execCommand?.("copy") ?? false;
  }
}

export function Command({ text }) {
  const [isCopied, setCopied] = useState(false);
  const onClick = async event => {
    if (!(await copy(text, event.currentTarget.previousElementSibling))) return;
    setCopied(true);
    setTimeout(() => setCopied(false), SHOWN_MS);
  };
  return html`
    <div class="command">
      <code tabindex="0">${text}</code>
      <button type="button" onClick=${onClick} aria-label=${`Copy: ${text}`}>${isCopied ? "Copied" : "Copy"}</button>
    </div>
  `;
}
