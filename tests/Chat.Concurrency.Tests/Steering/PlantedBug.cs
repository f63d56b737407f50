namespace Chat.Concurrency.Tests.Steering;

/// <summary>A mistake that Seams.targets writes into the compiled-in copy of the product.</summary>
internal enum PlantedBug
{
    None,

    /// <summary>Ring: an event's commit word is written before its bytes.</summary>
    CommittedBeforeWritten,

    /// <summary>Ring: producers heed the head and no reader.</summary>
    ReadersDoNotGate,

    /// <summary>Ring: who moves the head moves it by its own event only, and leaves what was committed behind it.</summary>
    HeadLeftBehind,

    /// <summary>Ring: a reader goes on to an event that the head has not reached.</summary>
    HeadOvertaken,

    /// <summary>Ring: a copy that no cursor guards is taken for good although producers came round.</summary>
    CopyNotLookedAtAgain,

    /// <summary>Ring: the next ring is made while an event of this one is claimed and not committed.</summary>
    SealedBeforeReadable,

    /// <summary>Members: a cursor that became active does not look at the head a second time.</summary>
    HeadNotLookedAtAgain,

    /// <summary>Shard: the dirty mark is taken off after the ring was read.</summary>
    MarkTakenOffTooLate,

    /// <summary>Shard: goes to sleep without looking for work once more.</summary>
    AsleepWithoutLooking,

    /// <summary>Shard: who wakes it leaves the mark of its sleep on, so that a second turn runs beside the first.</summary>
    WokenTwice,

    /// <summary>Resume: what becomes live while a replay is read is not held for it.</summary>
    LiveNotHeld,

    /// <summary>Log: a row does not wait for its predecessor.</summary>
    HoleSkipped,

    /// <summary>Log: a lane looks whether there is work before it takes the lock under which it goes to sleep.</summary>
    LaneWakeUpMissed,

    /// <summary>Log: a reservation looks for a drain before it counts itself.</summary>
    RefusingReadFirst,

    /// <summary>Log: a row that is given up stays where the next to clear up finds it.</summary>
    ToldTwice,

    /// <summary>History: the store is read before what is not durable yet, and a row that commits in between is in neither.</summary>
    StoreReadFirst,

    /// <summary>History: a page is read although a row that its reader has seen is still on its way.</summary>
    HistoryDoesNotWait,

    /// <summary>History: who waits for a row does not hear that none will come any more.</summary>
    StopNotTold,
}

/// <summary>Which mistake is on. Set between explorations, never during one.</summary>
internal static class Planted
{
    public static PlantedBug Bug { get; set; }

    public static bool Is(PlantedBug bug) => Bug == bug;
}
