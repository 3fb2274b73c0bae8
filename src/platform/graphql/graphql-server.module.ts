import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { Module } from '@nestjs/common';
import { GraphQLModule } from '@nestjs/graphql';
import type { IncomingMessage } from 'node:http';
import { AppConfig } from '../../config/app-config.js';
import { ErrorFormatter } from './error-formatter.js';
import { NodeResolver } from './node.resolver.js';
import { RequestContextFactory } from './request-context.factory.js';
import { ByteCount, Count, DateTimeScalar } from './scalars.js';

@Module({ providers: [RequestContextFactory], exports: [RequestContextFactory] })
export class RequestContextModule {}

/** The GraphQL endpoint, `/graphql`. */
@Module({
  imports: [
    RequestContextModule,
    GraphQLModule.forRootAsync<ApolloDriverConfig>({
      driver: ApolloDriver,
      imports: [RequestContextModule],
      inject: [AppConfig, ErrorFormatter, RequestContextFactory],
      useFactory: (config: AppConfig, errors: ErrorFormatter, contexts: RequestContextFactory) => ({
        path: '/graphql',
        autoSchemaFile: true,
        sortSchema: true,
        graphiql: false,
        introspection: config.introspection,
        csrfPrevention: true,
        autoTransformHttpErrors: false,
        includeStacktraceInErrorResponses: false,
        cache: 'bounded',
        persistedQueries: false,
        parseOptions: { maxTokens: 20_000 },
        context: ({ req }: { req: IncomingMessage }) => contexts.forRequest(req),
        formatError: (_formatted: unknown, error: unknown) => errors.format(error),
      }),
    }),
  ],
  providers: [NodeResolver, DateTimeScalar, ByteCount, Count],
})
export class GraphqlServerModule {}
