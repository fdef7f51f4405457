(* Theorem 3.1 fails at m = 2 (claim P2c), where frequency, energy and the best order agree: the
   instance of FiveCycle.v, d = 4, K = 5, D^* of spark 5 > 2m. At D^*, in any order, with any signs
   and any encoder, L_ND is at least 24135321/512 (FiveCycleLosses.v), while d_1 turned to
   (399,40,0,0)/401, with the codes Y^*, gives 2814826129/64160, which is less: no minimiser of L_ND
   is D^* up to order and signs. That L_ND has a minimiser (claim I1) is not formalised. *)
From Coq Require Import Reals Lra Lia List ZArith Bool.
From OSAE Require Import Sums Losses Encoders Statements Rays Instances FiveCycle FiveCycleLosses.
Import ListNotations.
Open Scope R_scope.

(* d_1 turned. *)
Definition turned_atoms : mat := fun i k => IZR (turned k i) / 802.

Lemma turned_loss : nested_code_loss 4 5 76 fifth X turned_atoms Ys = 2814826129/64160.
Proof.
  assert (E : nested_code_loss 4 5 76 fifth X turned_atoms Ys
    = IZR turned_total / (5 * (12832 * 12832))).
  { unfold turned_total. rewrite IZR_sumZ. unfold Rdiv at 1. rewrite <- sum_scal_r.
    apply sum_ext; intros l _. unfold code_loss, fifth. rewrite IZR_sumZ.
    rewrite <- sum_scal, <- sum_scal_r. apply sum_ext; intros n _. unfold norm2, dot.
    rewrite IZR_sumZ, <- sum_scal, <- sum_scal_r. apply sum_ext; intros i _.
    replace (residual turned_atoms (S l) (col X n) (col Ys n) i)
      with (IZR (turned_residual (at_sample n) (S l) i) / 12832).
    - rewrite mult_IZR. unfold at_sample, e0. field.
    - unfold residual, turned_residual, col. rewrite X_is, minus_IZR, mult_IZR, IZR_sumZ.
      rewrite (sum_ext (S l) (fun j => turned_atoms i j * Ys j n) (fun k =>
        IZR (turned k i * code (at_sample n) k) * / 12832)).
      + rewrite sum_scal_r. field.
      + intros k _. unfold turned_atoms, Ys. rewrite mult_IZR. field. }
  rewrite E. pose proof (f_equal IZR turned_value) as V. rewrite !mult_IZR in V. lra.
Qed.

(* The instance meets the hypotheses of Theorem 3.1. *)
Lemma code_zero n k : (n < 76)%nat -> (k < 5)%nat -> Ys k n <> 0 ->
  In k [fst (fst (at_sample n)); snd (fst (at_sample n))].
Proof.
  intros _ Hk N. unfold Ys, code in N. destruct (at_sample n) as [[i j] t]. simpl.
  destruct (Nat.eqb_spec k i); auto. destruct (Nat.eqb_spec k j); auto.
  elim N. unfold Rdiv. ring.
Qed.

Lemma frequency_is k : frequency 76 Ys k
  = length (filter (fun n => negb (code (at_sample n) k =? 0)%Z) (seq 0 76)).
Proof.
  unfold frequency. f_equal. apply filter_ext. intros n. unfold Ys.
  destruct (Req_EM_T _ _) as [E|E], (Z.eqb_spec (code (at_sample n) k) 0) as [Z|Z]; auto.
  - elim Z. apply eq_IZR. lra.
  - elim E. rewrite Z. lra.
Qed.

Lemma five_cycle_truth : truth 4 5 76 2 X Ds Ys.
Proof.
  split.
  - intros j Hj; each j; numbers; lra.
  - (* Four nonzeros leave one out, so the last is 0, and then the others are. *)
    intros c [s [L H]] E.
    assert (E4 : forall i, (i < 4)%nat -> c i = - (c 4%nat) / 2).
    { intros i Hi. specialize (E i Hi). revert E. each i; numbers; lra. }
    assert (Z4 : c 4%nat = 0).
    { destruct (Req_EM_T (c 4%nat) 0) as [|N]; auto. exfalso.
      enough (5 <= length s)%nat by (simpl in L; lia).
      change 5%nat with (length (seq 0 5)). apply NoDup_incl_length; [apply seq_NoDup|].
      intros j Hj. apply in_seq in Hj. apply H; [lia|].
      destruct (Nat.eq_dec j 4) as [->|]; auto. rewrite (E4 j) by lia. lra. }
    intros j Hj. destruct (Nat.eq_dec j 4) as [->|]; auto. rewrite (E4 j), Z4 by lia. lra.
  - intros j n Hj Hn. unfold Ys, code. destruct (at_sample n) as [[i h] t].
    assert (Sc : forall k, (0 <= scale k)%Z)
      by (intros k; do 5 (destruct k as [|k]; [vm_compute; discriminate|]);
          unfold scale; destruct k; simpl; lia).
    assert (0 <= if (j =? i)%nat then scale i else if (j =? h)%nat then Z.of_nat t * scale h else
      0)%Z.
    { destruct (j =? i)%nat; auto. destruct (j =? h)%nat; [|lia].
      apply Z.mul_nonneg_nonneg; auto. lia. }
    apply IZR_le in H. lra.
  - intros n Hn. eexists. split; [|intros j Hj N; now apply (code_zero n j)]. auto.
  - intros j k Hjk. rewrite !frequency_is.
    assert (F : forall k, (k < 5)%nat ->
      length (filter (fun n => negb (code (at_sample n) k =? 0)%Z) (seq 0 76))
      = nth k [35; 34; 30; 27; 26]%nat O) by (intros h Hh; each h; vm_compute; reflexivity).
    rewrite !F by lia. each k; each j; simpl; lia.
  - reflexivity.
Qed.

Theorem five_cycle_is_never_recovered D E :
  minimises 4 5 (nested_loss 4 5 76 2 fifth X) D E -> ~ signed_permutation 4 5 Ds D.
Proof.
  intros [[U HE] Least] P.
  pose proof (five_cycle_at_truth D (codes 5 2 X E) U (codes_sparse 5 76 2 X E) P) as B.
  destruct (encoder_of_codes 4 5 76 2 X Ys (true_sparse _ _ _ _ _ _ _ five_cycle_truth)
    (truth_consistent _ _ _ _ _ _ _ five_cycle_truth)) as [E' [HE' [_ H']]].
  assert (U' : unit_norm 4 5 turned_atoms) by (intros j Hj; each j; numbers; lra).
  specialize (Least turned_atoms E' U' HE'). rewrite !nested_loss_of_codes in Least.
  rewrite (nested_code_loss_ext 4 5 76 fifth X turned_atoms _ Ys H'), turned_loss in Least. lra.
Qed.
