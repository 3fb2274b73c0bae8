const uriCredentials = /\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@:]*(?::[^\s@]*)?@/gi;
const bearer = /\b(bearer\s+)[\w.~+/-]+=*/gi;
const jwt = /\beyJ[\w-]+\.[\w-]+\.[\w-]+/g;
const ownKeys = /\b(hf[ck]_|whsec_)[\w-]{20,}/g;
const querySecret = /([?&](?:token|key|secret|password|signature|x-amz-[a-z-]+)=)[^&\s"']+/gi;

/** Replaces credentials in connection strings, bearer tokens and signed links, for text that is logged or shown. */
export function redact(text: string): string {
  return text
    .replace(uriCredentials, '$1***@')
    .replace(bearer, '$1***')
    .replace(jwt, '***')
    .replace(ownKeys, '$1***')
    .replace(querySecret, '$1***');
}
