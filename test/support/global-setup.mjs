/** Loaded by Node itself, as jest does not transform what it loads before the first test. */
import { SharedServers } from './shared-servers.ts';

export default async function globalSetup() {
  const shared = await SharedServers.open();
  globalThis.holdfastSharedServers = shared;
  process.env.TEST_RUN_FOLDER = shared.folder;
}
