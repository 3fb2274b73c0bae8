import type { IncomingMessage, Server as HttpServer } from 'node:http';
import type { Duplex } from 'node:stream';
import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { GraphQLSchemaHost } from '@nestjs/graphql';
import { createSourceEventStream, execute, type ExecutionArgs, type ExecutionResult, GraphQLError } from 'graphql';
import { type Context, GRAPHQL_TRANSPORT_WS_PROTOCOL, handleProtocols, makeServer, type Server, type SubscribePayload } from 'graphql-ws';
import { type WebSocket, WebSocketServer } from 'ws';
import { AppError, asAppError } from '#errors';
import { AppConfig } from '../../config/app-config.js';
import type { Actor } from '../auth/actor.js';
import { AddressGate } from '../auth/address-gate.js';
import { Authenticator } from '../auth/authenticator.js';
import { EventBus } from '../events/event-bus.js';
import type { NoticeStream } from '../events/notice-stream.js';
import { DocumentLimits } from './document-limits.js';
import { ErrorFormatter } from './error-formatter.js';
import { mapIterator } from './map-iterator.js';
import { messageSender } from './message-sender.js';
import { RateLimiter } from './rate-limiter.js';
import { RequestContextFactory } from './request-context.factory.js';
import type { RequestContext } from './request-context.js';
import { SharedAnswers } from './shared-answers.js';
import { Slots } from './slots.js';
import { SubscriptionDocuments } from './subscription-documents.js';

const path = '/graphql';
const maxMessageBytes = 256 * 1024;
const maxSubscriptionsPerSocket = 100;
const pingEveryMs = 15_000;
const initWithinMs = 10_000;
/** The longest delay that a timer takes. */
const maxTimerMs = 2 ** 31 - 1;

/** Clients may come back with another token after 4403; 4401 says that none was sent. */
const closeCodes = { unauthorized: 4401, forbidden: 4403, internal: 4500, goingAway: 1001, tryAgainLater: 1013 } as const;

const addressNotAllowed = 'Address not allowed';

interface Connection {
  readonly socket: WebSocket;
  readonly address: string;
  authorization: string | undefined;
  actor: Actor | null;
  expiry: NodeJS.Timeout | null;
  /** Gives back its place among the sockets of its actor. */
  release: (() => void) | null;
}

/** What `prepare` hands to `subscribe`. */
interface SubscriptionArgs extends ExecutionArgs {
  /** The operation's name and the variables, for answers that may be shared; null where they depend on who asks. */
  readonly question: string | null;
}

type SocketContext = Context<{ authorization?: unknown }, Connection>;

/**
 * Subscriptions over `graphql-transport-ws`. Apollo has no part in this, so the limits, the formatter and the authentication of HTTP requests
 * are applied here by hand; queries and mutations are refused.
 */
@Injectable()
export class GraphqlSockets implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(GraphqlSockets.name);
  private readonly sockets = new WebSocketServer({ noServer: true, maxPayload: maxMessageBytes, handleProtocols, clientTracking: false });
  private readonly connections = new Set<Connection>();
  private readonly documents: SubscriptionDocuments;
  private readonly answers = new SharedAnswers();
  private readonly slots: Slots;
  private readonly protocol: Server<Connection>;
  private revocations: NoticeStream | null = null;
  private ruleChanges: NoticeStream | null = null;

  constructor(
    private readonly http: HttpAdapterHost,
    private readonly schemaHost: GraphQLSchemaHost,
    private readonly contexts: RequestContextFactory,
    private readonly authenticator: Authenticator,
    private readonly addresses: AddressGate,
    private readonly rates: RateLimiter,
    limits: DocumentLimits,
    private readonly errors: ErrorFormatter,
    private readonly bus: EventBus,
    config: AppConfig,
  ) {
    this.slots = new Slots(config.limits.socketsPerActor);
    this.documents = new SubscriptionDocuments(limits);
    this.protocol = makeServer<{ authorization?: unknown }, Connection>({
      connectionInitWaitTimeout: initWithinMs,
      onConnect: (context) => this.connect(context),
      onSubscribe: (context, _id, payload) => this.prepare(context, payload),
      subscribe: (args) => this.subscribe(args as SubscriptionArgs),
      onNext: (_context, _id, _payload, _args, { data, errors }) =>
        errors === undefined ? undefined : { data: data ?? null, errors: errors.map((error) => this.errors.format(error)) },
      onError: (_context, _id, _payload, errors) => errors.map((error) => this.errors.format(error)),
    });
  }

  onApplicationBootstrap(): void {
    this.server.on('upgrade', this.upgrade);
    this.revocations = this.bus.subscribe('account');
    void this.watchRevocations(this.revocations);
    this.ruleChanges = this.bus.subscribe('address-rules');
    void this.watchRuleChanges(this.ruleChanges);
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.server.off('upgrade', this.upgrade);
    await this.revocations?.return();
    await this.ruleChanges?.return();
    for (const { socket } of this.connections) socket.close(closeCodes.goingAway, 'Going away');
  }

  private get server(): HttpServer {
    return this.http.httpAdapter.getHttpServer() as HttpServer;
  }

  private readonly upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    // Without a listener a reset connection would end the process.
    socket.on('error', () => socket.destroy());
    if (!URL.canParse(request.url ?? '', 'http://host') || new URL(request.url ?? '', 'http://host').pathname !== path) return refuse(socket, '404 Not Found');
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
    if (!offered.includes(GRAPHQL_TRANSPORT_WS_PROTOCOL)) return refuse(socket, '400 Bad Request');
    this.sockets.handleUpgrade(request, socket, head, (webSocket) => this.open(webSocket, socket, request));
  };

  private open(socket: WebSocket, stream: Duplex, request: IncomingMessage): void {
    const connection: Connection = { socket, address: this.contexts.addressOf(request), authorization: undefined, actor: null, expiry: null, release: null };
    this.connections.add(connection);
    let answered = true;
    const ping = setInterval(() => {
      if (!answered) return socket.terminate();
      answered = false;
      socket.ping();
    }, pingEveryMs);
    socket.on('pong', () => (answered = true));
    socket.on('error', (error) => this.logger.debug({ msg: 'A socket failed', err: error }));
    const closed = this.protocol.opened(
      {
        protocol: socket.protocol,
        send: messageSender(socket, stream),
        close: (code, reason) => socket.close(code, reason),
        onMessage: (handle) => {
          socket.on('message', (data: Buffer) => {
            handle(data.toString('utf8')).catch((error: unknown) => {
              this.errors.format(error);
              socket.close(closeCodes.internal, 'Internal error');
            });
          });
        },
      },
      connection,
    );
    socket.once('close', (code, reason) => {
      clearInterval(ping);
      if (connection.expiry !== null) clearTimeout(connection.expiry);
      connection.release?.();
      this.connections.delete(connection);
      closed(code, reason.toString('utf8')).catch((error: unknown) => this.errors.format(error));
    });
  }

  /** What is thrown here would become the close reason, so nothing is. */
  private async connect(context: SocketContext): Promise<boolean> {
    const connection = context.extra;
    const authorization = context.connectionParams?.authorization;
    connection.authorization = typeof authorization === 'string' ? authorization : undefined;
    if (connection.authorization === undefined) {
      connection.socket.close(closeCodes.unauthorized, 'Unauthorized');
      return false;
    }
    return (await this.authenticate(connection)) && (await this.admit(connection)) && this.hasRoom(connection);
  }

  /** Closes the socket where its actor has as many as may be. */
  private hasRoom(connection: Connection): boolean {
    const { socket, actor } = connection;
    if (actor === null || socket.readyState !== socket.OPEN) return false;
    connection.release = this.slots.take(actor.id);
    if (connection.release === null) socket.close(closeCodes.tryAgainLater, 'Too many sockets');
    return connection.release !== null;
  }

  /** Closes a socket from an address from which its actor may use none of the tenants that are theirs. */
  private async admit(connection: Connection): Promise<boolean> {
    const { actor } = connection;
    if (actor === null) return false;
    try {
      const { open, closed } = await this.addresses.tenantsByAddress(actor);
      if (open.length > 0 || closed.length === 0) return true;
      connection.socket.close(closeCodes.forbidden, addressNotAllowed);
    } catch (error) {
      this.errors.format(error);
      connection.socket.close(closeCodes.internal, 'Internal error');
    }
    return false;
  }

  /** Checks the token, closes the socket if it is not good, else checks it again when it expires. */
  private async authenticate(connection: Connection): Promise<boolean> {
    try {
      const authentication = await this.authenticator.authenticate(connection.authorization, connection.address);
      connection.actor = authentication.kind === 'actor' ? authentication.actor : null;
    } catch (error) {
      this.errors.format(error);
      connection.socket.close(closeCodes.internal, 'Internal error');
      return false;
    }
    if (connection.actor === null) {
      connection.socket.close(closeCodes.forbidden, 'Forbidden');
      return false;
    }
    const expiresAt = connection.actor.tokenExpiresAt;
    if (connection.expiry !== null) clearTimeout(connection.expiry);
    connection.expiry =
      expiresAt === null ? null : setTimeout(() => void this.authenticateAtExpiry(connection), Math.min(maxTimerMs, Math.max(0, expiresAt.getTime() - Date.now())));
    return true;
  }

  private async authenticateAtExpiry(connection: Connection): Promise<void> {
    const expiresAt = connection.actor?.tokenExpiresAt?.getTime() ?? 0;
    if (Date.now() < expiresAt) await this.authenticate(connection);
    else connection.socket.close(closeCodes.forbidden, 'Token expired');
  }

  private async prepare(context: SocketContext, payload: SubscribePayload): Promise<ExecutionArgs | GraphQLError[]> {
    const { actor, address } = context.extra;
    try {
      if (actor === null) throw new AppError('UNAUTHENTICATED', 'You are not logged in');
      this.rates.count(actor.id);
      if (Object.keys(context.subscriptions).length > maxSubscriptionsPerSocket) throw new AppError('COST_EXCEEDED', `More than ${maxSubscriptionsPerSocket} subscriptions on one socket`);
      const { schema } = this.schemaHost;
      const prepared = this.documents.prepare(schema, payload.query, payload.operationName ?? undefined, payload.variables ?? undefined);
      if (!('document' in prepared)) return [...prepared];
      const question = prepared.sameForAll ? JSON.stringify([payload.operationName, payload.variables]) : null;
      const contextValue: RequestContext = { req: { headers: {} }, user: { ...actor }, refusal: null, address };
      const args: SubscriptionArgs = { schema, document: prepared.document, operationName: payload.operationName ?? null, variableValues: payload.variables ?? null, contextValue, question };
      return args;
    } catch (error) {
      return [error instanceof GraphQLError ? error : new GraphQLError('Refused', { originalError: asAppError(error) })];
    }
  }

  /** As graphql-js does it, but for answers that are the same for all who ask. */
  private async subscribe({ question, ...args }: SubscriptionArgs): Promise<AsyncIterableIterator<ExecutionResult> | ExecutionResult> {
    const payloads = await createSourceEventStream(args);
    if (!(Symbol.asyncIterator in payloads)) return payloads;
    const iterator = payloads[Symbol.asyncIterator]() as AsyncIterableIterator<unknown>;
    return mapIterator(iterator, (payload) => (question !== null && typeof payload === 'object' && payload !== null ? this.answers.of(payload, args, question) : execute({ ...args, rootValue: payload })));
  }

  /** A token that was revoked ends its sockets in every process. */
  private async watchRevocations(notices: NoticeStream): Promise<void> {
    for await (const notice of notices) {
      const concerned = [...this.connections].filter(({ actor }) => actor !== null && (notice.kind === 'resync' || notice.id === actor.accountId || notice.id === actor.tokenId));
      await Promise.all(concerned.map((connection) => this.authenticate(connection)));
    }
  }

  /** New rules of a tenant close the sockets of its members that they no longer allow; whoever may use other tenants comes back with a new socket. */
  private async watchRuleChanges(notices: NoticeStream): Promise<void> {
    for await (const notice of notices) {
      await Promise.all([...this.connections].map((connection) => this.closeIfRefused(connection, notice.kind === 'resync' ? null : notice.tenantId)));
    }
  }

  private async closeIfRefused({ actor, socket }: Connection, tenantId: string | null): Promise<void> {
    if (actor === null) return;
    try {
      const { closed } = await this.addresses.tenantsByAddress(actor);
      if (tenantId === null ? closed.length > 0 : closed.includes(tenantId)) socket.close(closeCodes.forbidden, addressNotAllowed);
    } catch (error) {
      this.errors.format(error);
      socket.close(closeCodes.internal, 'Internal error');
    }
  }
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => socket.destroy());
}
