# Two stages: the first builds, the second holds what runs and nothing else.
FROM node:22-bookworm-slim AS build
WORKDIR /app
COPY . .
# `npm ci` builds dist/ (its prepare script); then the tools go. npm keeps the compiler, because cosmiconfig could use it, which it does not here: 31 of 78 MiB.
RUN npm ci && npm prune --omit=dev && rm -rf node_modules/typescript node_modules/@typescript

FROM node:22-bookworm-slim
ENV NODE_ENV=production
# Health is asked of the plugin metrics, on loopback within the container.
ENV MQTTX_METRICS__PORT=9464
COPY --from=build /app/package.json /app/
COPY --from=build /app/node_modules /app/node_modules
COPY --from=build /app/dist /app/dist
# The config is found in the current folder, and what is kept on disk lies there: mount it.
WORKDIR /mqttx
# The image's user node, by number: Kubernetes' runAsNonRoot does not look names up.
RUN chown 1000:1000 /mqttx
USER 1000:1000
VOLUME /mqttx
EXPOSE 1883 8083
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["node", "-e", "fetch('http://127.0.0.1:9464/readyz').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# SIGTERM drains and stops.
ENTRYPOINT ["node", "/app/dist/presets/bin.js"]
