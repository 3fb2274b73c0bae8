import type { ProcessIdentity } from '../bootstrap/process-identity.mjs';
import type { ServerProcess } from '../servers/server-process.ts';
import { Restarts, type RestartsPlan } from './restarts.ts';
import { StartError } from './settings.ts';

export interface EmbeddedServer {
  readonly port: number;
  readonly identity: ProcessIdentity;
  readonly exited: ServerProcess['exited'];
  stop(): Promise<void>;
}

export interface KeptServerPlan<Server extends EmbeddedServer> extends RestartsPlan {
  /** Without a port it takes whichever is free. */
  readonly start: (port: number | undefined) => Promise<Server>;
  readonly onStart: (identity: ProcessIdentity) => void;
}

/** An embedded server, started again on its port when it crashes: nobody else would, and all that runs knows it by that port. */
export class KeptServer<Server extends EmbeddedServer> {
  private readonly plan: KeptServerPlan<Server>;
  private readonly restarts: Restarts;
  private server: Server | null = null;
  private starting: Promise<void> = Promise.resolve();

  constructor(plan: KeptServerPlan<Server>) {
    this.plan = plan;
    this.restarts = new Restarts(plan);
  }

  /** Whatever the first start throws is not tried again. */
  async start(): Promise<Server> {
    const first = this.plan.start(undefined);
    this.starting = first.then((server) => this.keep(server));
    await this.starting;
    if (this.restarts.areStopped) throw new StartError('Stopped while starting');
    return first;
  }

  /** Also while it is being started. */
  async stop(): Promise<void> {
    this.restarts.stop();
    await this.starting.catch(() => undefined);
    await this.server?.stop();
  }

  private keep(server: Server): void {
    this.server = server;
    if (this.restarts.areStopped) return;
    this.plan.onStart(server.identity);
    const startedAtMs = Date.now();
    void server.exited.then(({ code, signal }) => this.startLater(server.port, signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`, Date.now() - startedAtMs));
  }

  private startLater(port: number, how: string, ranForMs: number): void {
    this.restarts.later(how, ranForMs, () => {
      this.starting = this.startAgain(port);
    });
  }

  private async startAgain(port: number): Promise<void> {
    try {
      const server = await this.plan.start(port);
      if (server.port === port) return this.keep(server);
      await server.stop();
      this.startLater(port, `finds its port ${port} taken by another program`, 0);
    } catch (error) {
      const [reason] = (error instanceof Error ? error.message : String(error)).split('\n');
      this.startLater(port, `could not be started again (${reason})`, 0);
    }
  }
}
