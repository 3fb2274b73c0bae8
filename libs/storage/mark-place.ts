/** No key begins a segment with a dot. The same in every kind of store, so that whoever copies all files from one into another takes it along. */
export const markPlace = ['.holdfast', 'store'] as const;
/** A mark is far smaller; what is longer is none. */
export const mostMarkBytes = 1024;
