export const fileMode = 0o600;
/** No key begins a segment with a dot, so names that begin with this are the store's own: `.partial-<name>-<mark>`. */
export const partialMark = '.partial-';
export const markLength = 8;
/** The mark of an object that is written over many requests; all others are random hex digits. */
export const resumableMark = 'resuming';
