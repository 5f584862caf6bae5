// Images that the browser can show and the server doesn't read, as JPEG.

const MOST_PIXELS = 2 ** 24; // what Safari draws on one canvas; a model sees far fewer
const QUALITY = 0.92;
const STARTS = [/^\xff\xd8\xff/, /^\x89PNG\r\n\x1a\n/, /^BM/, /^RIFF[^]{4}WEBP/]; // what the server reads

/**
 * The file as the server takes it: a JPEG of its first image if only the browser reads its format, else itself.
 * A format that neither reads is for the server to refuse.
 */
export async function forServer(file) {
  return (await isRead(file)) ? file : ((await asJpeg(file)) ?? file);
}

/** Whether the server reads the format; true if the file can't be read at all, which sending it will tell. */
async function isRead(file) {
  try {
    const start = String.fromCharCode(...new Uint8Array(await file.slice(0, 12).arrayBuffer()));
    return STARTS.some((wanted) => wanted.test(start));
  } catch {
    return true;
  }
}

/** A JPEG of what the browser shows, turned as it shows it; null if it shows nothing. */
export async function asJpeg(file) {
  const image = new Image();
  image.src = URL.createObjectURL(file);
  try {
    await image.decode();
    const blob = await drawn(image);
    return blob && new File([blob], `${file.name.replace(/\.\w+$/, "")}.jpg`, { type: blob.type });
  } catch {
    return null;
  } finally {
    URL.revokeObjectURL(image.src);
  }
}

function drawn(image) {
  const { naturalWidth: width, naturalHeight: height } = image;
  const scale = Math.min(1, Math.sqrt(MOST_PIXELS / (width * height)));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // behind what is transparent
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
}
