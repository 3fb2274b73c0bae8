export type * from './port.js';
export { LocalArchiveStore } from './local/local-archive-store.js';
