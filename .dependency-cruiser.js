/**
 * Imports point one way: src/<feature> -> src/platform -> libs, and no feature looks into another one's tables.
 * @type {import('dependency-cruiser').IConfiguration}
 */
export default {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'features-form-no-cycle', scope: 'folder', severity: 'error', from: { path: '^src/' }, to: { circular: true } },
    { name: 'no-unknown-imports', severity: 'error', from: {}, to: { couldNotResolve: true } },
    { name: 'libs-never-import-src', severity: 'error', from: { path: '^libs/' }, to: { path: '^(src|test|scripts|bench)/' } },
    { name: 'libs-are-free-of-frameworks', severity: 'error', from: { path: '^libs/' }, to: { path: 'node_modules/(@nestjs|typeorm|graphql|@apollo|pg|pg-boss)/' } },
    { name: 'errors-knows-nobody', severity: 'error', from: { path: '^libs/errors/' }, to: { path: '^libs/(?!errors/)' } },
    { name: 'archive-knows-errors-alone', severity: 'error', from: { path: '^libs/archive/' }, to: { path: '^libs/(?!archive/|errors/)' } },
    { name: 'archive-needs-no-database', severity: 'error', from: { path: '^libs/archive/' }, to: { path: 'node_modules/mongodb/' } },
    { name: 'storage-knows-errors-alone', severity: 'error', from: { path: '^libs/storage/' }, to: { path: '^libs/(?!storage/|errors/)' } },
    { name: 'engines-know-archive-and-errors', severity: 'error', from: { path: '^libs/engines/' }, to: { path: '^libs/(?!engines/|archive/|errors/)' } },
    { name: 'libs-are-entered-by-their-index', severity: 'error', from: { path: '^src/' }, to: { path: '^libs/', pathNot: '^libs/[^/]+/index\\.ts$' } },
    { name: 'platform-knows-no-feature', severity: 'error', from: { path: '^src/platform/' }, to: { path: '^src/(?!platform/|config/)' } },
    { name: 'config-stands-alone', severity: 'error', from: { path: '^src/config/' }, to: { path: '^src/(?!config/)' } },
    { name: 'features-do-not-share-tables', severity: 'error', from: { path: '^src/(?!platform/)([^/]+)/' }, to: { path: '^src/[^/]+/[^/]+\\.repository\\.ts$', pathNot: '^src/$1/' } },
    { name: 'the-program-is-tested-from-outside', severity: 'error', from: { path: '^(src|libs)/' }, to: { path: '^(test|scripts|bench)/' } },
    { name: 'no-development-package-in-the-program', severity: 'error', from: { path: '^(src|libs)/' }, to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'] } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // Tests may reach anywhere; the program may not.
    exclude: { path: '^(dist|test)/|\\.spec\\.ts$|/contract/|/testing/' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'types', 'default'], extensions: ['.ts', '.js', '.mjs', '.json'] },
  },
};
