using Chat.LoadTests.Verify;

namespace Chat.LoadTests.Tests.Verify;

/// <summary>Each broken promise is found, and nothing else with it.</summary>
public sealed class ComparisonTests
{
    private const long Room = 7;

    private readonly Findings _findings = new();
    private readonly List<StoredMessage> _stored = [];
    private readonly List<SentMessage> _sent = [];
    private readonly RoomView _view;

    /// <summary>Three messages of two clients, acknowledged, and a third client that has seen them.</summary>
    public ComparisonTests()
    {
        _view = new RoomView(client: 3, Room, epoch: 1, _findings);
        Say(client: 1, number: 1);
        Say(client: 2, number: 1);
        Say(client: 1, number: 2);
    }

    private void Say(int client, int number)
    {
        var nonce = new Nonce(client, number);
        long seq = _stored.Count + 1;
        _stored.Add(new StoredMessage(seq, 100 + seq, nonce.ToString(), nonce.Content()));
        var sent = new SentMessage(nonce, Room);
        sent.Acknowledge(seq, 100 + seq, _findings);
        _sent.Add(sent);
        _view.Add(seq, 100 + seq);
    }

    private void FoundOnly(params Fault[] expected)
    {
        Comparison.Compare(new RoomHistory("REST", Room, _stored), _sent, [_view], _findings);
        Assert.Equal(expected, _findings.All.Where(finding => finding.Count > 0).Select(finding => finding.Fault));
        Assert.All(expected, fault => Assert.NotEmpty(_findings.All.Single(finding => finding.Fault == fault).First));
    }

    [Fact]
    public void A_room_that_is_as_everybody_was_told_has_no_fault() => FoundOnly();

    [Fact]
    public void An_acknowledged_message_with_another_in_its_place_is_lost()
    {
        var sent = new SentMessage(new Nonce(2, 2), Room);
        sent.Acknowledge(3, 999, _findings);
        _sent.Add(sent);

        FoundOnly(Fault.Lost);
    }

    [Fact]
    public void A_nonce_that_is_stored_twice_is_doubled()
    {
        _stored.Add(_stored[0] with { Seq = 4, Id = 104 });
        _view.Add(4, 104);

        FoundOnly(Fault.Doubled);
    }

    [Fact]
    public void Two_different_acknowledgements_of_one_message_are_a_doubling()
    {
        _sent[0].Acknowledge(3, 103, _findings);

        FoundOnly(Fault.Doubled);
    }

    [Fact]
    public void A_sender_whose_messages_changed_places_is_reordered()
    {
        Say(client: 2, number: 3);
        Say(client: 2, number: 2);

        FoundOnly(Fault.Reordered);
    }

    [Fact]
    public void A_seq_that_a_client_never_got_is_a_hole()
    {
        Say(client: 1, number: 3);
        Say(client: 1, number: 4);
        var late = new RoomView(client: 4, Room, epoch: 1, _findings);
        late.Add(1, 101);
        late.Add(2, 102);
        late.Add(5, 105);
        Comparison.Compare(new RoomHistory("REST", Room, _stored), _sent, [late], _findings);

        Assert.Equal(2, _findings[Fault.Hole]);
        FoundOnly(Fault.Hole);
    }

    [Fact]
    public void A_message_that_was_seen_and_is_gone_is_a_phantom()
    {
        _view.Add(4, 104);

        FoundOnly(Fault.Phantom);
    }

    [Fact]
    public void A_message_that_was_taken_back_by_a_notice_is_none()
    {
        _view.Add(4, 104);
        _view.Welcome(epoch: 2, rolledBackTo: 3);

        FoundOnly();
        Assert.Equal(1, _view.RolledBack);
    }

    [Fact]
    public void Content_that_nobody_sent_is_altered()
    {
        _stored[1] = _stored[1] with { Content = "something else" };

        FoundOnly(Fault.Altered);
    }

    [Fact]
    public void A_message_without_any_answer_is_told_of()
    {
        _sent.Add(new SentMessage(new Nonce(1, 9), Room));

        FoundOnly(Fault.Unanswered);
    }

    [Fact]
    public void A_database_that_lacks_what_the_server_shows_has_lost_it()
    {
        Comparison.CompareSources(
            new RoomHistory("REST", Room, _stored), new RoomHistory("the database", Room, _stored[..2]), _findings);

        Assert.Equal(1, _findings[Fault.Lost]);
        Assert.Equal(1, _findings.Total);
    }
}
