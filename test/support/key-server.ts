import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type GenerateKeyPairResult } from 'jose';

/** What a host product publishes: public keys over HTTP, which it may rotate. */
export class KeyServer {
  keys = new Map<string, GenerateKeyPairResult>();
  isAway = false;
  private readonly server: Server;

  constructor() {
    this.server = createServer((_request, response) => {
      if (this.isAway) return void response.writeHead(503).end();
      void Promise.all([...this.keys].map(async ([kid, { publicKey }]) => ({ ...(await exportJWK(publicKey)), kid, alg: 'RS256', use: 'sig' }))).then((keys) =>
        response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys })),
      );
    });
  }

  async start(): Promise<string> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/jwks.json`;
  }

  async rotate(kid: string): Promise<void> {
    this.keys = new Map([[kid, await generateKeyPair('RS256', { extractable: true })]]);
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}
