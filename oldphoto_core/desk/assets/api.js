// Requests to the desk's server. While the server is away they are sent again: decisions carry an id, so none is stored twice.
const AWAY_MS = 120_000, PAUSE_MS = 500;
const listeners = new Set();
export const onAway = (listener) => listeners.add(listener);
const tell = (away) => { for (const listener of listeners) listener(away); };

export class Refused extends Error {
  constructor(message, kind, status) { super(message); this.kind = kind; this.status = status; }
}

const query = (asked) => new URLSearchParams(Object.entries(asked).map(([name, value]) => [name, String(value)])).toString();

async function ask(path, options = {}) {
  const until = Date.now() + AWAY_MS;
  for (;;) {
    let answer;
    try {
      answer = await fetch(path, { credentials: "same-origin", redirect: "error", ...options });
    } catch (error) {
      if (options.signal?.aborted || Date.now() > until) throw new Refused("The server does not answer.", "Away", 0);
      tell(true);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      continue;
    }
    tell(false);
    if (answer.ok) return answer;
    if (answer.status === 401) location.assign("/login");
    const said = await answer.json().catch(() => ({}));
    throw new Refused(said.error || `The server answers ${answer.status}.`, said.kind || "", answer.status);
  }
}

export const get = async (path, asked = {}, options = {}) => (await ask(`${path}?${query(asked)}`, options)).json();
export const bytes = async (path, asked) => new Uint8Array(await (await ask(`${path}?${query(asked)}`)).arrayBuffer());
export const post = async (path, value) =>
  (await ask(path, { method: "POST", body: JSON.stringify(value), headers: { "Content-Type": "application/json" } })).json();

// of masks in their order
const packed = async (data) =>
  new Response(new Blob(data).stream().pipeThrough(new CompressionStream("gzip"))).blob();
export const put = async (path, asked, data) =>
  (await ask(`${path}?${query(asked)}`, { method: "PUT", body: await packed(data) })).json();
export const picture = async (path, asked, data) =>
  createImageBitmap(await (await ask(`${path}?${query(asked)}`, { method: "POST", body: await packed(data) })).blob());
export { query };
