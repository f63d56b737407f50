# Stage 1: restore exactly what the lock files say, then publish. The project files come first, so that the layer of the
# restored packages stays valid while only sources change.
FROM mcr.microsoft.com/dotnet/sdk:10.0 AS build
WORKDIR /src
COPY global.json Directory.Build.props Directory.Packages.props ./
COPY Chat.Protocol/Chat.Protocol.csproj Chat.Protocol/packages.lock.json Chat.Protocol/
COPY Chat.Storage/Chat.Storage.csproj Chat.Storage/packages.lock.json Chat.Storage/
COPY Chat.Server/Chat.Server.csproj Chat.Server/packages.lock.json Chat.Server/
RUN dotnet restore Chat.Server --locked-mode
COPY .editorconfig init.sql ./
COPY Chat.Protocol Chat.Protocol
COPY Chat.Storage Chat.Storage
COPY Chat.Server Chat.Server
RUN dotnet publish Chat.Server -c Release --no-restore --output /app -p:UseAppHost=false

# Stage 2: the aspnet image, because Kestrel's connection layer is in the ASP.NET Core shared framework.
FROM mcr.microsoft.com/dotnet/aspnet:10.0
WORKDIR /app
COPY --from=build /app .
COPY scripts/check_ready.sh .
# The image brings the user app with the id APP_UID. The folder is made here, so that a new volume on it belongs to that user.
RUN mkdir /data && chown "$APP_UID" /data
USER $APP_UID
ENV HOST=0.0.0.0 PORT=3000 DATA_DIR=/data
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --start-interval=1s CMD ["bash", "/app/check_ready.sh"]
ENTRYPOINT ["dotnet", "Chat.Server.dll"]
