import { ApolloServerPluginCacheControlDisabled } from '@apollo/server/plugin/disabled';
import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { Module } from '@nestjs/common';
import { GraphQLModule } from '@nestjs/graphql';
import type { IncomingMessage } from 'node:http';
import { AppConfig } from '../../config/app-config.js';
import { EventsModule } from '../events/events.module.js';
import { DocumentLimits, maxDocumentTokens } from './document-limits.js';
import { ErrorFormatter } from './error-formatter.js';
import { GraphqlSockets } from './graphql-sockets.js';
import { limitsPlugin } from './limits.plugin.js';
import { noStorePlugin } from './no-store.plugin.js';
import { NodeResolver } from './node.resolver.js';
import { plainFields } from './plain-fields.js';
import { RateLimiter } from './rate-limiter.js';
import { RequestContextFactory } from './request-context.factory.js';
import { ByteCount, Count, DateTimeScalar } from './scalars.js';

@Module({ providers: [DocumentLimits, RateLimiter, RequestContextFactory], exports: [DocumentLimits, RateLimiter, RequestContextFactory] })
export class RequestContextModule {}

/** The GraphQL endpoint, `/graphql`. */
@Module({
  imports: [
    EventsModule,
    RequestContextModule,
    GraphQLModule.forRootAsync<ApolloDriverConfig>({
      driver: ApolloDriver,
      imports: [RequestContextModule],
      inject: [AppConfig, ErrorFormatter, RequestContextFactory, DocumentLimits],
      useFactory: (config: AppConfig, errors: ErrorFormatter, contexts: RequestContextFactory, limits: DocumentLimits) => ({
        path: '/graphql',
        // Earlier it would close the port before anybody could learn from /readyz that the process goes away.
        stopOnApplicationShutdown: true,
        autoSchemaFile: true,
        sortSchema: true,
        graphiql: false,
        introspection: config.introspection,
        csrfPrevention: true,
        autoTransformHttpErrors: false,
        includeStacktraceInErrorResponses: false,
        cache: 'bounded',
        persistedQueries: false,
        hideSchemaDetailsFromClientErrors: !config.introspection,
        parseOptions: { maxTokens: maxDocumentTokens },
        validationRules: [limits.rule],
        ...plainFields(),
        plugins: [limitsPlugin(limits), ApolloServerPluginCacheControlDisabled(), noStorePlugin],
        context: ({ req }: { req: IncomingMessage }) => contexts.forRequest(req),
        formatError: (_formatted: unknown, error: unknown) => errors.format(error),
      }),
    }),
  ],
  providers: [GraphqlSockets, NodeResolver, DateTimeScalar, ByteCount, Count],
})
export class GraphqlServerModule {}
