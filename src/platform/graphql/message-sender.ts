import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';

/**
 * Sends the messages of one socket. Those of one moment, such as a last state and its `complete`, go out together: most of what a message to a thousand sockets costs is the system's work for each packet.
 * @param stream what the socket writes to
 * @returns resolves when the message has left this process, at once unless an earlier one still waits for its reader: whoever makes messages then makes no more of them meanwhile
 */
export function messageSender(socket: WebSocket, stream: Duplex): (text: string) => Promise<void> | undefined {
  let isGathering = false;
  const letGo = (): void => {
    isGathering = false;
    stream.uncork();
  };
  return (text) => {
    if (socket.readyState !== socket.OPEN) return undefined;
    const isBehind = !isGathering && stream.writableLength > 0;
    if (!isGathering) {
      isGathering = true;
      stream.cork();
      // After everything that is ready now has been made.
      process.nextTick(letGo);
    }
    if (isBehind) return new Promise((resolve) => socket.send(text, () => resolve()));
    socket.send(text);
    return undefined;
  };
}
