// Image input: drag and drop, paste, file picker and camera.

import { t } from "./i18n.js";

const IMAGE = /\.(avif|bmp|gif|heic|heif|jfif|jpe?g|jxl|png|svg|tiff?|webp)$/i; // some browsers know no type of HEIC
const HIDDEN = /^\.|^(@eaDir|__MACOSX)$/; // thumbnails and notes that systems keep beside images

const $ = (id) => document.getElementById(id);

/** @param take Called with a list of files, which may be empty. */
export function listenForImages(take) {
  listenForDrops(take);
  document.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (files.length) {
      event.preventDefault();
      take(files);
    }
  });
  for (const input of [$("files"), $("snapshot")]) {
    input.addEventListener("change", () => {
      take([...input.files]);
      input.value = ""; // otherwise the same file couldn't be chosen again
    });
  }
  $("choose").addEventListener("click", () => $("files").click());
  listenForCamera(take);
}

function listenForDrops(take) {
  let depth = 0; // an inner element gets dragenter before the outer one gets dragleave
  const mark = () => document.body.classList.toggle("dragging", depth > 0);
  const hasFiles = (event) => event.dataTransfer.types.includes("Files");
  addEventListener("dragenter", (event) => {
    depth += hasFiles(event) ? 1 : 0;
    mark();
  });
  addEventListener("dragleave", (event) => {
    depth -= hasFiles(event) ? 1 : 0;
    mark();
  });
  addEventListener("dragover", (event) => {
    if (hasFiles(event)) {
      event.preventDefault(); // otherwise the browser would open the file
    }
  });
  addEventListener("drop", async (event) => {
    if (hasFiles(event)) {
      event.preventDefault();
      depth = 0;
      mark();
      take(await droppedFiles(event.dataTransfer));
    }
  });
}

/**
 * Return the dropped files, and those in dropped folders that are images by their media type or name.
 * Those of folders have a `relativePath`, as two may have the same name.
 */
async function droppedFiles(transfer) {
  // Before the first await, after which the browser empties the list.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) {
    return [...transfer.files];
  }
  const found = await Promise.all(entries.map((entry) => filesOf(entry, true)));
  return found.flat();
}

async function filesOf(entry, isDropped) {
  if (entry.isFile) {
    const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
    if (!file || !(isDropped || file.type.startsWith("image/") || IMAGE.test(file.name))) {
      return [];
    }
    file.relativePath = entry.fullPath.slice(1);
    return [file];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!some.length) {
      return found.flat();
    }
    const inner = some.filter((each) => !HIDDEN.test(each.name));
    found.push(...(await Promise.all(inner.map((each) => filesOf(each, false)))));
  }
}

/** Show the camera in a dialog; where the browser doesn't allow that (plain HTTP), open the camera app. */
function listenForCamera(take) {
  const dialog = $("camera-dialog");
  const video = $("camera-view");
  const note = $("camera-note");

  $("camera").addEventListener("click", async () => {
    if (!navigator.mediaDevices?.getUserMedia) {
      $("snapshot").click();
      return;
    }
    note.hidden = true;
    $("camera-take").disabled = true;
    dialog.showModal();
    try {
      const wanted = { video: { facingMode: "environment", width: { ideal: 1280 } } };
      const stream = await navigator.mediaDevices.getUserMedia(wanted);
      video.srcObject = stream;
      if (!dialog.open) {
        stop();
        return;
      }
      await video.play();
      $("camera-take").disabled = false;
      $("camera-take").focus();
    } catch (error) {
      note.textContent = t("cameraFailed", { reason: error.message });
      note.hidden = false;
    }
  });

  $("camera-take").addEventListener("click", () => {
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    const name = `camera-${new Date().toISOString().slice(11, 19).replaceAll(":", "")}.jpg`;
    canvas.toBlob((blob) => take([new File([blob], name, { type: blob.type })]), "image/jpeg", 0.92);
    dialog.close();
  });

  function stop() {
    video.srcObject?.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  }
  dialog.addEventListener("close", stop);
}
