using Microsoft.Coyote.Specifications;
using Microsoft.Extensions.Logging;

namespace Chat.Concurrency.Tests.Steering;

/// <summary>Fails the schedule when there is something to say: no scenario that has one gives the product a reason to complain.</summary>
internal sealed class SilentLogger<T> : ILogger<T>
{
    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel))
        {
            Specification.Assert(false, $"{formatter(state, exception)} {exception}");
        }
    }
}
