import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { dataSourceOptions } from './data-source.js';

const message = (type: string, body: Buffer): Buffer => {
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length + 4);
  return Buffer.concat([Buffer.from(type), length, body]);
};
/** What a server sends that takes a connection and dies at once: authentication is done, it is ready, it ends. */
const lastWords = Buffer.concat([
  message('R', Buffer.alloc(4)),
  message('Z', Buffer.from('I')),
  message('E', Buffer.from('SFATAL\0C57P01\0Mterminating connection due to unexpected postmaster exit\0\0')),
]);
const server = createServer((socket) => {
  socket.on('error', () => undefined);
  socket.once('data', () => socket.end(lastWords));
});

beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(() => {
  server.close();
});

it('outlives a server that dies in the moment in which it hands out a connection', async () => {
  const { port } = server.address() as AddressInfo;
  const dataSource = new DataSource(dataSourceOptions(`postgres://holdfast@127.0.0.1:${port}/holdfast`));
  await expect(dataSource.initialize()).rejects.toThrow(/terminat|closed|queryable/i);
});
