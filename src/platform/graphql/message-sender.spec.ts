import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';
import { messageSender } from './message-sender.js';

describe('messageSender', () => {
  let server: Server;

  beforeAll(async () => {
    server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterAll(async () => {
    server.close();
    await once(server, 'close');
  });

  /** Both ends of a socket, and what this end writes to. */
  async function connected() {
    const sockets = new WebSocketServer({ noServer: true });
    const opened = Promise.withResolvers<{ readonly socket: WebSocket; readonly stream: Socket }>();
    server.once('upgrade', (request, stream, head) => sockets.handleUpgrade(request, stream, head, (socket) => opened.resolve({ socket, stream: stream as Socket })));
    const reader = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const received: number[] = [];
    const arrived = new Map<number, PromiseWithResolvers<void>>();
    const arrival = (count: number): PromiseWithResolvers<void> => arrived.get(count) ?? arrived.set(count, Promise.withResolvers<void>()).get(count)!;
    reader.on('message', (data: Buffer) => arrival(received.push(data.length)).resolve());
    return { ...(await opened.promise), reader, received, arrival: (count: number) => arrival(count).promise };
  }

  it('sends together what is said in one moment, in its order', async () => {
    const { socket, stream, reader, received, arrival } = await connected();
    const writes = jest.spyOn(stream, '_writev');
    const send = messageSender(socket, stream);
    expect(send('a')).toBeUndefined();
    await Promise.resolve();
    expect(send('bb')).toBeUndefined();
    await arrival(2);
    expect(writes).toHaveBeenCalledTimes(1);
    expect(send('ccc')).toBeUndefined();
    await arrival(3);
    expect(writes).toHaveBeenCalledTimes(2);
    expect(received).toEqual([1, 2, 3]);
    reader.close();
    await once(socket, 'close');
    expect(send('d')).toBeUndefined();
  });

  it('makes who sends wait for a reader that is behind', async () => {
    const { socket, stream, reader, received, arrival } = await connected();
    const send = messageSender(socket, stream);
    reader.pause();
    // More than the buffers of the system hold.
    expect(send('x'.repeat(64 * 1024 * 1024))).toBeUndefined();
    await new Promise((resolve) => setImmediate(resolve));
    let isSent = false;
    const sent = send('y')?.then(() => (isSent = true));
    expect(sent).toBeInstanceOf(Promise);
    await new Promise((resolve) => setImmediate(resolve));
    expect(isSent).toBe(false);
    reader.resume();
    await Promise.all([sent, arrival(2)]);
    expect(received).toEqual([64 * 1024 * 1024, 1]);
    reader.terminate();
  });
});
