import { type Client, createClient } from 'graphql-ws';
import WebSocket from 'ws';

export interface OperationSnapshot {
  readonly id: string;
  readonly revision: number;
  readonly state: 'QUEUED' | 'RUNNING' | 'COMPLETED' | 'FAILED' | 'CANCELED';
  readonly phase: string;
  readonly progress: { readonly percent: number | null; readonly current: string | null };
  readonly failure: { readonly code: string; readonly message: string; readonly hints: readonly string[] } | null;
}

export interface UserError {
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
}

export const operationUpdated = 'subscription ($id: ID!) { operationUpdated(id: $id) { id revision state phase progress { percent current } failure { code message hints } } }';

/** The few calls of the story, made as a product's frontend makes them: HTTP for mutations, a WebSocket for progress. */
export class StoryApi {
  private readonly url: string;
  private readonly token: string | null;

  private constructor(url: string, token: string | null) {
    this.url = url;
    this.token = token;
  }

  static async login(url: string, email: string, password: string): Promise<StoryApi> {
    const { login } = await new StoryApi(url, null).request<{ login: { accessToken: string | null } }>(
      'mutation ($input: LoginInput!) { login(input: $input) { accessToken userErrors { code message } } }',
      { input: { email, password } },
    );
    if (login.accessToken === null) throw new Error('The demo could not log in');
    return new StoryApi(url, login.accessToken);
  }

  async request<Data>(query: string, variables: Record<string, unknown> = {}): Promise<Data> {
    const response = await fetch(`${this.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(this.token === null ? {} : { authorization: this.authorization }) },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = (await response.json()) as { data?: Data; errors?: readonly { message: string }[] };
    if (data === undefined || errors !== undefined) throw new Error(errors?.map((error) => error.message).join('; ') ?? `HTTP ${response.status}`);
    return data;
  }

  get authorization(): string {
    return `Bearer ${this.token ?? ''}`;
  }

  /** Yields every state of the operation, the last one included. */
  async *watch(id: string): AsyncGenerator<OperationSnapshot> {
    const client = this.socket();
    try {
      const events = client.iterate<{ operationUpdated: OperationSnapshot }>({
        query: operationUpdated,
        variables: { id },
      });
      for await (const { data, errors } of events) {
        if (!data) throw new Error(errors?.map((error) => error.message).join('; ') ?? 'The subscription sent no data');
        yield data.operationUpdated;
      }
    } finally {
      await client.dispose();
    }
  }

  private socket(): Client {
    return createClient({
      url: `${this.url.replace(/^http/, 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { authorization: this.authorization },
    });
  }
}
