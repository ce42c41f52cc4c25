// The middle of what is shown of a photo, restored by the server with the mask as it is painted.
import { picture } from "./api.js";

const SIDE = 512;

// `asked`: mode, tone and strength
export async function previewed(stage, photo, asked) {
  const [left, top, right, bottom] = stage.sight, [width, height] = photo.size, side = Math.min(SIDE, photo.preview.largest), { context } = photo.preview;
  const w = Math.min(side, right - left), h = Math.min(side, bottom - top), x = Math.round((left + right - w) / 2), y = Math.round((top + bottom - h) / 2);
  const [l, t, r, b] = [Math.max(0, x - context), Math.max(0, y - context), Math.min(width, x + w + context), Math.min(height, y + h + context)];
  const image = await picture("/api/preview", { id: photo.id, left: x, top: y, width: w, height: h, ...asked }, [stage.mask.bits(l, t, r - l, b - t)]);
  return { image, left: x, top: y };
}
