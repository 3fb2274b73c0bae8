import { type Client, type CloseCode, createClient } from 'graphql-ws';
import { WebSocket } from 'ws';

export interface AnswerError {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions: { readonly code: string; readonly hint?: string; readonly retryAfterMs?: number; readonly traceId?: string };
}

export interface Answer<Data> {
  readonly data?: Data | null;
  readonly errors?: readonly AnswerError[];
}

export type Variables = Readonly<Record<string, unknown>>;

/** Thrown by `run` for top-level errors. */
export class GraphqlFailure extends Error {
  override readonly name = 'GraphqlFailure';
  constructor(readonly errors: readonly AnswerError[]) {
    super(errors.map(({ message, extensions }) => `${extensions.code}: ${message}`).join('; '));
  }

  get code(): string {
    return this.errors[0]?.extensions.code ?? '';
  }
}

/** A client of the public API: POST for queries and mutations, `graphql-transport-ws` for subscriptions. */
export class GraphqlClient {
  constructor(
    readonly url: string,
    readonly accessToken: string | null,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {}

  /** The same client as if a proxy had passed its calls on. */
  via(forwardedFor: string): GraphqlClient {
    return new GraphqlClient(this.url, this.accessToken, { ...this.headers, 'x-forwarded-for': forwardedFor });
  }

  /** The whole HTTP answer. */
  post(body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    return fetch(`${this.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(this.accessToken === null ? {} : { authorization: `Bearer ${this.accessToken}` }), ...this.headers, ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  }

  /** Data and errors, whichever came. */
  async send<Data>(query: string, variables: Variables = {}): Promise<Answer<Data>> {
    const response = await this.post({ query, variables });
    return (await response.json()) as Answer<Data>;
  }

  /** The data; throws GraphqlFailure for top-level errors. */
  async run<Data>(query: string, variables: Variables = {}): Promise<Data> {
    const { data, errors } = await this.send<Data>(query, variables);
    if (errors !== undefined) throw new GraphqlFailure(errors);
    if (data === undefined || data === null) throw new Error('Neither data nor errors');
    return data;
  }

  /** The code of the first top-level error, or null. */
  async codeOf(query: string, variables: Variables = {}): Promise<string | null> {
    const { errors } = await this.send(query, variables);
    return errors?.[0]?.extensions.code ?? null;
  }

  /** Subscribes on a socket of its own. Leave the loop, or call `return()`, to close it. */
  subscribe<Data>(query: string, variables: Variables = {}): Subscription<Data> {
    return new Subscription<Data>(this, query, variables);
  }
}

function socketsWith(headers: Readonly<Record<string, string>>): new (url: string | URL, protocols?: string | string[]) => WebSocket {
  return class extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols, { headers });
    }
  };
}

/** What a subscription brings: whole answers, with data or errors. A refused document ends it with `GraphqlFailure`, a closed socket with `SocketClosed`. */
export class Subscription<Data> implements AsyncIterableIterator<Answer<Data>> {
  private readonly client: Client;
  private readonly answers: AsyncIterableIterator<Answer<Data>>;

  constructor(api: GraphqlClient, query: string, variables: Variables) {
    this.client = createClient({
      url: `${api.url.replace(/^http/, 'ws')}/graphql`,
      webSocketImpl: socketsWith(api.headers),
      retryAttempts: 0,
      lazyCloseTimeout: 0,
      connectionParams: api.accessToken === null ? {} : { authorization: `Bearer ${api.accessToken}` },
      onNonLazyError: () => undefined,
    });
    this.answers = this.client.iterate<Data>({ query, variables: { ...variables } }) as AsyncIterableIterator<Answer<Data>>;
  }

  async next(): Promise<IteratorResult<Answer<Data>, undefined>> {
    try {
      const result = await this.answers.next();
      return result.done === true ? { done: true, value: undefined } : result;
    } catch (error) {
      await this.client.dispose();
      if (Array.isArray(error)) throw new GraphqlFailure(error as AnswerError[]);
      if (typeof error === 'object' && error !== null && 'code' in error && 'reason' in error) throw new SocketClosed(Number(error.code), String(error.reason));
      throw error;
    }
  }

  /** The next answer's data; throws for an answer with errors and at the end. */
  async nextData(): Promise<Data> {
    const result = await this.next();
    if (result.done === true) throw new Error('The subscription has ended');
    if (result.value.errors !== undefined) throw new GraphqlFailure(result.value.errors);
    if (result.value.data === undefined || result.value.data === null) throw new Error('Neither data nor errors');
    return result.value.data;
  }

  async return(): Promise<IteratorResult<Answer<Data>, undefined>> {
    await this.answers.return?.();
    await this.client.dispose();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}

export class SocketClosed extends Error {
  override readonly name = 'SocketClosed';
  constructor(
    readonly code: CloseCode | number,
    readonly reason: string,
  ) {
    super(`The socket was closed: ${code} ${reason}`);
  }
}
