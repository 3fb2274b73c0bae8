/** What the set-up asks of the running server, over the same GraphQL API that everybody uses. */
export class ConsoleApi {
  private readonly url: string;
  private token: string | null = null;

  constructor(url: string) {
    this.url = url;
  }

  async login(email: string, password: string): Promise<void> {
    const { accessToken } = await this.mutate<{ accessToken: string }>('login', { email, password }, 'accessToken');
    this.token = accessToken;
  }

  async query<Data>(query: string, variables: Record<string, unknown> = {}): Promise<Data> {
    const response = await fetch(`${this.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(this.token === null ? {} : { authorization: `Bearer ${this.token}` }) },
      body: JSON.stringify({ query, variables }),
    });
    const body = (await response.json()) as { data?: Data | null; errors?: readonly { message: string; extensions?: { code?: string } }[] };
    const [error] = body.errors ?? [];
    if (error !== undefined) throw new ApiError(error.extensions?.code ?? 'UNKNOWN', error.message);
    if (body.data === undefined || body.data === null) throw new Error(`The API answered ${response.status} without data`);
    return body.data;
  }

  /** @throws ApiError with the code of the first user error */
  async mutate<Payload>(name: string, input: Record<string, unknown>, fields: string): Promise<Payload> {
    const typeName = `${name[0]?.toUpperCase()}${name.slice(1)}Input`;
    const data = await this.query<Record<string, { userErrors: readonly { code: string; message: string }[] } & Payload>>(
      `mutation ($input: ${typeName}!) { ${name}(input: $input) { ${fields} userErrors { code message } } }`,
      { input },
    );
    const payload = data[name];
    if (payload === undefined) throw new Error(`The API answered nothing for ${name}`);
    const [problem] = payload.userErrors;
    if (problem !== undefined) throw new ApiError(problem.code, problem.message);
    return payload;
  }
}

export class ApiError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(`${message} (${code})`);
    this.code = code;
  }
}
