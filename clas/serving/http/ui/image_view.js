// What of an image the model sees, and a dialog that shows the image large.

import { t, translate } from "./i18n.js";

const $ = (id) => document.getElementById(id);

/**
 * The part of an image that is left by resizing its short side and cropping its middle.
 *
 * @param preprocess As in `GET /`; operations of an inference.yml (transform_ops) aren't followed.
 * @returns left, top, width and height as shares of the image; null for all of it, and if it isn't known.
 */
function seenPart(preprocess, width, height) {
  const { resize_short: short, crop_size: crop, resize_size: size } = preprocess ?? {};
  if (!short || !crop || size?.length || !width || !height) {
    return null;
  }
  const scale = short / Math.min(width, height);
  const shares = [width, height].map((side) => crop / Math.round(side * scale));
  if (shares.every((share) => share >= 1)) {
    return null;
  }
  return { left: (1 - shares[0]) / 2, top: (1 - shares[1]) / 2, width: shares[0], height: shares[1] };
}

/** Frame what the model sees of the image in a `.picture`; returns whether there is a frame. */
export function frame(picture, preprocess) {
  const { naturalWidth: width, naturalHeight: height } = picture.querySelector("img");
  const seen = picture.querySelector(".seen");
  const part = seenPart(preprocess, width, height);
  picture.style.setProperty("--ratio", width / height || 4 / 3);
  for (const [name, share] of Object.entries(part ?? {})) {
    seen.style.setProperty(name, `${100 * share}%`);
  }
  seen.hidden = part === null;
  return part !== null;
}

/** The dialog with one of the images, from which the arrow keys lead to the others. */
export class ImageView {
  #cards;
  #shown = null;

  /** @param cards Returns the cards in the order that they are shown in. */
  constructor(cards) {
    this.#cards = cards;
    $("image-before").addEventListener("click", () => this.#step(-1));
    $("image-after").addEventListener("click", () => this.#step(1));
    document.addEventListener("keydown", (event) => {
      this.#step({ ArrowLeft: -1, ArrowRight: 1 }[event.key] ?? 0); // a button that is disabled gets no keys
    });
    $("image-dialog").addEventListener("close", () => {
      this.#shown?.element.querySelector(".enlarge").focus();
      $("image-large").removeAttribute("src");
      this.#shown = null;
    });
  }

  open(card) {
    this.#show(card);
    $("image-dialog").showModal();
  }

  #step(by) {
    const cards = this.#shown ? this.#cards() : [];
    const next = cards[cards.indexOf(this.#shown) + by];
    if (by && next) {
      this.#show(next);
    }
  }

  #show(card) {
    this.#shown = card;
    const [cards, image] = [this.#cards(), $("image-large")];
    translate($("image-dialog"));
    $("image-title").textContent = card.name;
    $("image-before").disabled = card === cards[0];
    $("image-after").disabled = card === cards.at(-1);
    image.alt = card.name;
    const preprocess = card.state === "failed" ? null : card.preprocess;
    image.onload = image.onerror = () => {
      $("image-legend").hidden = !frame($("image-picture"), preprocess);
      $("image-legend").textContent = t("seen", { crop: preprocess?.crop_size });
    };
    image.src = card.url;
    $("image-said").replaceChildren(...card.said());
  }
}
