const notAttrChar = /['()*]/g;

/** `Content-Disposition` of a download: an ASCII fallback (RFC 6266) and, where that loses something, the real name (RFC 5987). */
export function attachment(fileName: string): string {
  const fallback = fileName.replace(/[^\x20-\x7e]|["\\%/]/g, '_');
  const plain = `attachment; filename="${fallback}"`;
  if (fallback === fileName) return plain;
  const encoded = encodeURIComponent(fileName.toWellFormed()).replace(notAttrChar, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
  return `${plain}; filename*=UTF-8''${encoded}`;
}
