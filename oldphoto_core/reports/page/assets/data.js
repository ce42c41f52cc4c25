"use strict";
// The photos, in data files that are loaded when they are wanted: as scripts, since a page from a disk may not fetch.
window.oldphoto = (() => {
  const { build, photos, chunk } = document.body.dataset;
  const count = Number(photos);
  const size = Number(chunk);
  const loading = new Map();
  const chunks = Math.ceil(count / size);
  const store = { count, photos: [], missing: new Set() };

  const load = (number) => {
    if (!loading.has(number)) {
      loading.set(number, new Promise((resolve) => {
        const script = document.createElement("script");
        script.src = `${build}/photos-${String(number).padStart(5, "0")}.js`;
        script.onload = () => { script.remove(); resolve(); };
        script.onerror = () => { store.missing.add(number); resolve(); };
        document.head.append(script);
      }));
    }
    return loading.get(number);
  };

  store.load = (indexes) => Promise.all([...new Set(indexes.map((index) => Math.floor(index / size)))].map(load));
  store.loadAll = async (onPart) => {
    for (let number = 0; number < chunks; number += 8) {
      await Promise.all(Array.from({ length: Math.min(8, chunks - number) }, (_, next) => load(number + next)));
      onPart(Math.min(count, (number + 8) * size));
    }
  };
  store.at = (index) => store.photos[Math.floor(index / size)]?.[index % size];

  // text becomes text: nothing of a photo is ever parsed as markup
  store.element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  store.percent = (share) => share === undefined ? "–"
    : `${(share * 100).toFixed(share && share < 0.0995 ? (share < 0.00995 ? 2 : 1) : 0)} %`;
  return store;
})();
