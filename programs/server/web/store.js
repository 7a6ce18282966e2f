/* Keeps conversations in the browser's IndexedDB, and settings in its localStorage. The page's path is part of the name
   of both. If the browser keeps nothing (some do so in private windows), all works until the page is closed. */
const place = `mini-cllm ${new URL('.', location).pathname}`;

const promised = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

const database = (async () => {
  const request = indexedDB.open(place, 1);
  request.onupgradeneeded = () => request.result.createObjectStore('conversations', { keyPath: 'id' });
  return promised(request);
})();
database.catch(() => {});

const conversations = async (mode) => (await database).transaction('conversations', mode).objectStore('conversations');

export const loadConversations = async () => promised((await conversations('readonly')).getAll());
export const loadConversation = async (id) => promised((await conversations('readonly')).get(id));
export const saveConversation = async (conversation) => promised((await conversations('readwrite')).put(conversation));
export const deleteConversation = async (id) => promised((await conversations('readwrite')).delete(id));

export function loadSettings() {
  try {
    return JSON.parse(localStorage.getItem(place)) ?? {};
  } catch {
    return {};
  }
}

export function saveSettings(settings) {
  try {
    localStorage.setItem(place, JSON.stringify(settings));
  } catch { /* the page uses them until it is closed */ }
}
