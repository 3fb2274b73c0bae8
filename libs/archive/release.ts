/**
 * Gives the memory of a whole buffer back at once. V8 sees little of what buffers hold, and what zlib made is not even collected with
 * other young objects: without this, dead frames pile up to tens of MB. Nobody may use the bytes, or any view of them, again.
 */
export function release(bytes: Buffer): void {
  const { buffer } = bytes;
  // Small buffers share their memory with others.
  if (buffer instanceof ArrayBuffer && buffer.byteLength > Buffer.poolSize) buffer.transfer(0);
}
