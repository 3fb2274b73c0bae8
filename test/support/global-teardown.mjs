export default async function globalTeardown() {
  await globalThis.holdfastSharedServers?.close();
}
