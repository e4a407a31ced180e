// Asks for the token once; it is kept for this tab and sent to this service only.
import { login, refusal } from "../api.js";
import { html } from "../lib.js";
import { refresh } from "../live.js";

export function Login() {
  const onSubmit = event => {
    event.preventDefault();
    const token = String(new FormData(event.currentTarget).get("token") ?? "").trim();
    if (!token) return;
    login(token);
    refresh();
  };
  return html`
    <section class="card login" aria-label="Token">
      <h1 tabindex="-1">Token needed</h1>
      ${refusal.value && html`<p class="wrong" role="alert">The token was refused: ${refusal.value}</p>`}
      <p>This service answers callers with a token. <code>datafingerprint tokens create</code> makes one; the setting <code>[api] token</code> is one too. It is kept for this tab only.</p>
      <form onSubmit=${onSubmit}>
        <label for="token">Token</label>
        <input id="token" name="token" type="password" autocomplete="current-password" required />
        <button type="submit" class="main">Show this page</button>
      </form>
    </section>
  `;
}
