import type { ApolloServerPlugin, GraphQLRequestListener } from '@apollo/server';
import { OperationTypeNode } from 'graphql';
import { AppError } from '#errors';
import type { DocumentLimits } from './document-limits.js';
import type { RequestContext } from './request-context.js';

/** Refuses subscriptions, and documents that cost too much, before anything of them runs. */
export function limitsPlugin(limits: DocumentLimits): ApolloServerPlugin<RequestContext> {
  const listener: GraphQLRequestListener<RequestContext> = {
    didResolveOperation: ({ schema, document, request, operation }) => {
      if (operation?.operation === OperationTypeNode.SUBSCRIPTION) throw new AppError('BAD_USER_INPUT', 'Subscriptions go over a WebSocket, by the protocol graphql-transport-ws');
      limits.checkCost(schema, document, request.operationName, request.variables);
      return Promise.resolve();
    },
  };
  return { requestDidStart: () => Promise.resolve(listener) };
}
