import type { ApolloServerPlugin, GraphQLRequestListener } from '@apollo/server';
import type { DocumentLimits } from './document-limits.js';
import type { RequestContext } from './request-context.js';

/** Refuses a document that costs too much before anything of it runs. */
export function limitsPlugin(limits: DocumentLimits): ApolloServerPlugin<RequestContext> {
  const listener: GraphQLRequestListener<RequestContext> = {
    didResolveOperation: ({ schema, document, request }) => {
      limits.checkCost(schema, document, request.operationName, request.variables);
      return Promise.resolve();
    },
  };
  return { requestDidStart: () => Promise.resolve(listener) };
}
